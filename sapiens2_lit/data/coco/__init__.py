"""COCO files: annotations, detections, people, ground truths."""
