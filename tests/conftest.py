"""What every test may use: threads, people with labels, ranks."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # else every process that tests start compiles torch anew
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read by torch when it is imported, as by the command
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of processes that tests start, too: they share the cores

import signal

import pytest
import torch
from coco_people import write_people
from small_datasets import dataset, people  # noqa: F401  # fixtures

PHOTOGRAPHS = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_wholebody_tiny"

sys.dont_write_bytecode = False
# What is ignored is inherited: a shell that starts the tests in the background ignores SIGINT, which they send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = (  # files of over ten CPU seconds: first, lest one of them is left for a single process at the end
    "parallel/test_training.py", "cli/test_fit.py", "parallel/test_interruptions.py", "cli/test_interrupted_runs.py",
    "verify/test_command.py", "memory/test_command.py", "parallel/test_distillation.py",
    "parallel/test_pretraining.py", "benchmarks/test_suite.py", "training/test_big_batch.py", "test_notebooks.py",
    "models/test_compile.py", "parallel/test_distributed.py", "cli/test_fit_dense.py",
    "cli/test_fit_multitask.py", "parallel/test_timm_parallel.py", "memory/test_shipped_costs.py",
)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest files, and leave out tests marked `exhaustive` unless `-m` names them."""
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    if "exhaustive" not in config.option.markexpr:
        left = [item for item in items if item.get_closest_marker("exhaustive")]
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, run all tests of a file in one process: it makes the fixtures of the file once."""
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # as sorted above
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models run fastest on one thread, and test processes do not fight over cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", params=["generated", *(["photographs"] if PHOTOGRAPHS.is_dir() else [])])
def coco_people(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 people, of which 12 have labelled keypoints: `images`, `person_keypoints.json`, `wholebody.json`.

    Generated, and again on photographs of COCO where these lie beside the project.
    """
    if request.param == "photographs":
        return PHOTOGRAPHS
    return write_people(tmp_path_factory.mktemp("coco"))


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve synthetic people for training and six for validation, with the 17 keypoints of COCO."""
    from sapiens2_lit.synthetic.dataset.dataset import make_dataset
    from sapiens2_lit.synthetic.dataset.manifest import Settings
    from sapiens2_lit.synthetic.dataset.records import coco_dict, read_record

    root, size = tmp_path_factory.mktemp("figures"), (96, 72)
    make_dataset(root, 18, Settings(size=size, tasks=("pose",)), workers=1, progress=False)
    for name, indices in (("train", range(12)), ("val", range(12, 18))):
        labels = coco_dict({index: read_record(root, index) for index in indices}, "coco17", size)
        (root / "annotations" / f"{name}.json").write_text(json.dumps(labels))
    return root


@pytest.fixture(scope="session")
def fake_ranks() -> Callable[..., AbstractContextManager[None]]:
    """`with fake_ranks(world, rank)`: this process as one of `world`; what it sends to the others is dropped."""

    @contextmanager
    def ranks(world: int, rank: int = 0) -> Iterator[None]:
        import torch.distributed as dist
        from torch.testing._internal.distributed.fake_pg import FakeStore

        dist.init_process_group("fake", rank=rank, world_size=world, store=FakeStore())
        try:
            yield
        finally:
            dist.destroy_process_group()

    return ranks
