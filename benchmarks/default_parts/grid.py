"""What is tried: modes at three numbers of pictures, then what lies around the mode that did best."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from default_parts.runs import Run
from default_parts.tables import Results, scores_of
from sapiens2_lit.training.adaptation import Adapt

COUNTS = (50, 200, 800)
HEATMAP_SIGMA = 1.5 * (256 * 192 / (16 * 12)) ** 0.5  # 1.5 pixels of a map of 16 x 12
AROUND = 200  # pictures, where one number of them must do
MODES: dict[str, Adapt] = {
    "frozen": Adapt("frozen"),
    "last": Adapt("last_blocks", last=1),  # of 4; docs/adaptation.md has 4 of 24
    "lora": Adapt("lora"),
    "full": Adapt("full"),
}


def automatic(count: int) -> str:
    """The mode that `auto` is with so many pictures and pretrained weights."""
    return Adapt().resolve(pretrained=True, samples=count).mode


def modes(tasks: Sequence[str]) -> Iterator[Run]:
    """Each mode with each number of pictures; first the two of which `auto` takes one."""
    for part in (("frozen", "full"), ("lora", "last")):
        for count in COUNTS:
            for task in tasks:
                yield from (Run(task, count, name, MODES[name]) for name in part)


def around(task: str, best: str) -> Iterator[Run]:
    """One setting changed at a time, of the best mode; rates of all modes, layer decay of the one that has it."""
    of = {name: Run(task, AROUND, name, adapt) for name, adapt in MODES.items()}

    def changed(mode: str, what: str, **settings: object) -> Run:
        return replace(of[mode], name=f"{mode}, {what}", **settings)  # type: ignore[arg-type]

    for mode in (best, *(other for other in MODES if other != best)):
        yield changed(mode, "rate x 3", rate=3.0)
    yield changed(best, "rate x 1/3", rate=1 / 3)
    for decay in (1.0, 0.5):
        yield changed("full", f"layer decay {decay}", layer_decay=decay)
    yield changed(best, "ema 0.999", ema=0.999)
    for factor in (2.0, 0.5):
        yield changed(best, f"steps x {factor:g}", steps=factor)
    if (
        task == "pose"
    ):  # of the released map; the default is less than a pixel of this one, and so taken for 1
        yield changed(best, "heatmap sigma x 1.5", head={"sigma": HEATMAP_SIGMA})
    yield replace(changed(best, "steps x 2", steps=2.0), count=min(COUNTS))
    for mode in dict.fromkeys((best, automatic(AROUND))):  # is a higher rate only a faster start?
        yield changed(mode, "steps x 3", steps=3.0)
        yield changed(mode, "steps x 3, rate x 3", steps=3.0, rate=3.0)


def compared_with(one: Run) -> str:
    """The name of the run that a run around the best mode differs from in one setting, which its name says last."""
    return one.name.rpartition(", ")[0]


def best_mode(task: str, results: Results, seeds: Sequence[int]) -> str:
    """The mode of the greatest mean score over those of the seeds that all modes have; what `auto` is without any."""
    found = {mode: scores_of(results, task, AROUND, mode) for mode in MODES}
    known = [seed for seed in seeds if all(seed in scores for scores in found.values())]
    if not known:
        return automatic(AROUND)
    return max(MODES, key=lambda mode: sum(found[mode][seed] for seed in known))
