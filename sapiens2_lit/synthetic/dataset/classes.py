"""The 29 classes of Sapiens2's body-part segmentation, by their names in this package."""

from enum import IntEnum


class BodyClass(IntEnum):
    """Index of each class, in the released order."""

    BACKGROUND = 0
    APPAREL = 1
    EYEGLASS = 2
    FACE_NECK = 3
    HAIR = 4
    LEFT_FOOT = 5
    LEFT_HAND = 6
    LEFT_LOWER_ARM = 7
    LEFT_LOWER_LEG = 8
    LEFT_SHOE = 9
    LEFT_SOCK = 10
    LEFT_UPPER_ARM = 11
    LEFT_UPPER_LEG = 12
    LOWER_CLOTHING = 13
    RIGHT_FOOT = 14
    RIGHT_HAND = 15
    RIGHT_LOWER_ARM = 16
    RIGHT_LOWER_LEG = 17
    RIGHT_SHOE = 18
    RIGHT_SOCK = 19
    RIGHT_UPPER_ARM = 20
    RIGHT_UPPER_LEG = 21
    TORSO = 22
    UPPER_CLOTHING = 23
    LOWER_LIP = 24
    UPPER_LIP = 25
    LOWER_TEETH = 26
    UPPER_TEETH = 27
    TONGUE = 28
