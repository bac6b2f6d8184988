"""`python -m detector`: detect, evaluate, train and what goes with it, mine, reproduce, benchmark.

Bad input ends in one sentence and exit status 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from detector import paper
from detector.bench.figure import Bench
from detector.bench.run import PARTS, run
from detector.datasets import read_dataset
from detector.datasets.frames import read_mitosis_free
from detector.detection.allocator import tune_process
from detector.detection.detect import detect
from detector.detection.scorer import Scorer, load_scorer
from detector.detection.windows import plan_windows
from detector.errors import DataSetError, DetectorError, ResolutionUnknown
from detector.evaluation.evaluate import by_source, curve, evaluate, summary
from detector.experiments.cross_validation import cross_validate
from detector.experiments.semi_supervised import compare, split_called, splits_of
from detector.frames import Case, Hpf, cases_of
from detector.mine import mine_slide, mined_as_json, mined_hpf, read_mined, write_mined
from detector.model.card import read_card, refuse_learnt_from
from detector.model.checkpoint import SHIPPED_WEIGHTS, load_coarse, load_weights
from detector.slide import Slide, WorkingFrame, open_slide
from detector.split import split_by_case, validation_cases
from detector.training.average import average_weights
from detector.training.calibrate import calibrate_weights
from detector.training.distil import distil
from detector.training.plan import read_plan, with_change
from detector.training.train import CHECKPOINT, Report, train_final_model, train_initial_model
from detector.version import code_version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 2 for bad input, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 0
    tune_process()
    try:
        options.run(options)
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (DetectorError, ValueError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("detector: interrupted", file=sys.stderr)
        return 130
    return 0


def _refuse(sentence: str) -> int:
    print(f"detector: {sentence}", file=sys.stderr)
    return 2


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what it cannot take."""

    def error(self, message: str) -> NoReturn:
        self.exit(_refuse(f"{message}; {self.prog} --help says more"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m detector",
        description="Mitosis detection on H&E as in Akram et al. 2018. Research use only.",
    )
    parser.add_argument("--version", action="version", version=code_version())
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    for name, what, add_options, run in (
        ("detect", "find mitoses in slides or frames, written as JSON", _detect_options, _detect),
        ("evaluate", "judge weights on a labelled data set (section 4)", _evaluate_options, _evaluate),
        ("train", "train the initial model on labelled frames (section 3.1)", _train_options, _train),
        ("cross-validate", "compare plans on slides that they have not seen", _cross_validate_options, _cross_validate),
        ("average", "the mean of several weights of one course", _average_options, _average),
        ("calibrate", "put score 0.5 where F1 is best on labelled frames", _calibrate_options, _calibrate),
        ("distil", "put a coarse network before weights: faster on a CPU", _distil_options, _distil),
        ("mine", "mine mitoses from unlabelled slides (section 3.2)", _mine_options, _mine),
        ("reproduce", "labelled slides against labelled and mined ones (Table 1)", _reproduce_options, _reproduce),
        ("benchmark", "speed and memory as ratios to plain baselines, in one run", _benchmark_options, _benchmark),
    ):
        command = commands.add_parser(name, help=what)
        command.set_defaults(run=run)
        add_options(command)
    return parser


def _network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="the shipped weights by default")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")


def _cascade_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-cascade", dest="cascade", action="store_false", help="score every cell, without the coarse network"
    )


def _scorer(options: argparse.Namespace, *, cascade: bool) -> tuple[Scorer, dict[str, Any]]:
    """The scorer that the options of `_network_options` name, and the card of its weights."""
    return load_scorer(options.weights, device=options.device, precision=options.precision, cascade=cascade)


def _detect_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE_OR_SLIDE")
    parser.add_argument(
        "--out", type=_new_file, help="file to write; one JSON line per input; standard output by default"
    )
    parser.add_argument("--min-score", type=_score, default=paper.SCORE_THRESHOLD, help="default 0.5")
    parser.add_argument("--mpp", type=_mpp, help="um per pixel, where the file does not say; e.g. 0.2456")
    parser.add_argument("--format", choices=("mitoscope", "midog"), default="mitoscope")
    _network_options(parser)
    _cascade_option(parser)


def _detect(options: argparse.Namespace) -> None:
    scorer, card = _scorer(options, cascade=options.cascade)
    if options.out is not None and options.out.resolve() in {path.resolve() for path in options.images}:
        raise ValueError(f"{options.out} is what is to be looked at; give --out another name")
    mode = "w"
    for path in options.images:  # written one by one, so that a bad file does not lose what came before it
        line = json.dumps(_detect_one(path, scorer, card, options)) + "\n"
        with nullcontext(sys.stdout) if options.out is None else options.out.open(mode, encoding="utf-8") as out:
            out.write(line)
            out.flush()
        mode = "a"


def _detect_one(path: Path, scorer: Scorer, card: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    with open_slide(path) as slide:
        mpp = _mpp_of(slide, options.mpp)
        frame = WorkingFrame(slide, mpp)
        with tqdm(total=plan_windows(frame).windows_total, unit="window", disable=None, desc=path.name) as bar:
            found = detect(
                scorer, frame, min_score=options.min_score, progress=lambda done: void(bar.update(done - bar.n))
            )
    if options.format == "midog":
        return {
            "type": "Multiple points",
            "points": [
                {
                    "name": "mitotic figure",
                    "point": [x * mpp[0] / 1000, y * mpp[1] / 1000, 0],
                    "probability": score,
                }
                for (x, y), score in zip(found.xy.tolist(), found.scores.tolist(), strict=True)
            ],
            "version": {"major": 1, "minor": 0},
        }
    return {
        "slide": path.name,
        "mpp": list(mpp),
        "model": {"name": card.get("name"), "sha256": card["sha256"]},
        "parameters": {
            "min_score": options.min_score,
            "nms_radius_um": paper.NMS_RADIUS * paper.WORKING_MPP,
            "working_mpp": list(frame.mpp),
            "precision": scorer.precision,
            "cascade": scorer.cascades(options.min_score),
            "code_version": code_version(),
        },
        "detections": found.rows(),
    }


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument("--cases", help="only these cases, e.g. A04 or A00,A04")
    parser.add_argument("--out", type=_new_file, required=True, help="JSON file to write")
    _network_options(parser)


def _evaluate(options: argparse.Namespace) -> None:
    scorer, card = _scorer(options, cascade=False)  # the curve goes down to where a coarse network has learnt nothing
    cases = read_dataset(options.dataset)
    if options.cases:
        _, cases = split_by_case(cases, _names(options.cases))
    _must_be_judgeable(cases)
    evaluation = evaluate(scorer, cases)
    result = {"dataset": options.dataset.name, "weights": card["sha256"], **summary(evaluation)}
    sources = [hpf.source for case in cases for hpf in case.hpfs if hpf.exhaustive]
    result["by_source"] = by_source(evaluation, sources)
    result["precision_recall"] = curve(evaluation)
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(f"F1 at 0.5: {result['f1_at_0.5']}, max F1: {result['max_f1']} at {result['max_f1_threshold']}")


def _must_be_judgeable(cases: Sequence[Case]) -> None:
    if not any(hpf.exhaustive for case in cases for hpf in case.hpfs):
        raise DataSetError("no frame of it has all its mitoses labelled, so nothing can be judged on it")


def _reproduce_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a labelled set; labels of some cases are hidden")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, mined samples and the table")
    parser.add_argument("--plan", default="reproduce", help="paper, short, reproduce (default), or a TOML file")
    parser.add_argument(
        "--tests", help="cases to judge on, one split each, e.g. A01,A03,A04; default: the three richest"
    )
    parser.add_argument(
        "--split", action="append", metavar="T:U:TEST", help="these cases instead, e.g. A02,A03:A00,A04:A01; repeat it"
    )
    parser.add_argument("--agreement", type=_possible_score, default=paper.MINING_AGREEMENT, help="default 0.8")
    parser.add_argument(
        "--beside",
        nargs="+",
        type=Path,
        default=[],
        metavar="DATASET",
        help="labelled sets of other sources that both learn from besides",
    )
    _mitosis_free_option(parser)
    _course_options(parser, parent="both begin with these weights, which know none of the cases")


def _reproduce(options: argparse.Namespace) -> None:
    plan = read_plan(options.plan)
    cases = read_dataset(options.dataset)
    richest = sorted(cases, key=lambda case: -sum(len(hpf.mitoses) for hpf in case.hpfs))[:3]
    tests = _names(options.tests) if options.tests else sorted(case.name for case in richest)
    names = [case.name for case in cases]
    splits = [split_called(text, names) for text in options.split] if options.split else splits_of(names, tests)
    beside = [case for path in options.beside for case in read_dataset(path)] + _mitosis_free(options)
    with _training_bar(plan.iterations) as report:
        compare(
            cases, splits, plan, options.out, agreement=options.agreement, say=tqdm.write, beside=beside,
            resume=True, **_course(options, report),
        )  # fmt: skip
    tqdm.write(f"the table: {options.out / 'table.md'}")


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of one data set, or of several")
    parser.add_argument("--plan", required=True, help="paper, short, or a TOML file")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, card, curve and checkpoint")
    parser.add_argument(
        "--held-out", default="", help="cases to judge on and not to train on, e.g. A04; auto: one in five, by the seed"
    )
    _mitosis_free_option(parser)
    parser.add_argument("--cases", help="train and judge on these cases only, e.g. A00,A01,A04")
    parser.add_argument(
        "--mined", type=Path, metavar="DIR", help="what `mine` wrote: trains the final model, with FG-WSI as well"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    _course_options(parser, parent="begin with these weights, not with random ones")


def _course_options(parser: argparse.ArgumentParser, *, parent: str) -> None:
    parser.add_argument("--parent", type=Path, metavar="WEIGHTS", help=parent)
    parser.add_argument("--compile", action="store_true", help="up to twice as fast on a CPU; needs a C++ compiler")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")


def _course(options: argparse.Namespace, report: Report) -> dict[str, Any]:
    """What the options of `_course_options` say, for the functions that train."""
    return {**{key: getattr(options, key) for key in ("parent", "compile", "device", "precision")}, "report": report}


def _mitosis_free_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mitosis-free",
        nargs="+",
        type=Path,
        default=[],
        metavar="SLIDE",
        help="slides known to hold no mitosis: background and look-alikes are taken from them",
    )


def _mitosis_free(options: argparse.Namespace) -> list[Case]:
    return cases_of(hpf for path in options.mitosis_free for hpf in read_mitosis_free(path))


def _train(options: argparse.Namespace) -> None:
    plan = read_plan(options.plan)
    cases = [*read_dataset(options.dataset), *_mitosis_free(options)]
    if options.cases:
        _, cases = split_by_case(cases, _names(options.cases))
    held_out = _names(options.held_out)
    if options.held_out == "auto":
        held_out = validation_cases((c.name for c in cases if any(hpf.exhaustive for hpf in c.hpfs)), plan.seed)
        print(f"held out: {', '.join(held_out)}")
    train, validation = split_by_case(cases, held_out)
    if options.parent is not None:
        refuse_learnt_from(options.parent, set(held_out))
    if options.resume and not (options.out / CHECKPOINT).exists():
        print(f"{options.out} holds no checkpoint: from the beginning")
    with _training_bar(plan.iterations) as report:
        course = {"resume": options.resume, **_course(options, report)}
        if options.mined is None:
            path = train_initial_model(train, validation, plan, options.out, **course)
        else:
            path = train_final_model(train, validation, _mined(options.mined), plan, options.out, **course)
    print(f"weights: {path}, card: {path.with_suffix('.json')}")


def _cross_validate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of one data set, or of several")
    parser.add_argument("--plan", required=True, help="paper, short, or a TOML file")
    parser.add_argument(
        "--change",
        action="append",
        default=[],
        metavar="TOML",
        help="the plan with this changed is held against it; may be repeated; e.g. 'augmentation.blur = 0'",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and the table")
    _mitosis_free_option(parser)
    _course_options(parser, parent="begin with these weights, which know none of the slides that are judged on")


def _cross_validate(options: argparse.Namespace) -> None:
    plan = read_plan(options.plan)
    plans = [plan, *(with_change(plan, text) for text in options.change)]
    cases = [*read_dataset(options.dataset), *_mitosis_free(options)]
    with _training_bar(max(one.iterations for one in plans)) as report:
        cross_validate(cases, plans, options.out, say=tqdm.write, resume=True, **_course(options, report))
    tqdm.write(f"the table: {options.out / 'table.md'}")


def _distil_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="frames to learn from; labels are not looked at")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="the shipped weights by default")
    parser.add_argument("--plan", default="distil", help="distil (default), or a TOML file")
    parser.add_argument("--held-out", default="", help="cases on which both are compared only, e.g. A04")
    parser.add_argument("--slides", nargs="+", type=Path, default=[], metavar="SLIDE", help="more tissue to learn from")
    parser.add_argument(
        "--out", type=_new_weights, required=True, help="weights to write (.safetensors), and their card"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside --out")


def _distil(options: argparse.Namespace) -> None:
    plan = read_plan(options.plan)
    slides = cases_of(
        hpf for path in options.slides for hpf in read_mitosis_free(path, least_tissue=paper.COARSE_TISSUE)
    )
    held_out = _names(options.held_out)
    train, validation = split_by_case([*read_dataset(options.dataset), *slides], held_out)
    with _training_bar(plan.iterations) as report:
        path = distil(options.weights, train, validation, plan, options.out, resume=options.resume, report=report)
    card = read_card(path)
    print(json.dumps(card["coarse"]["kept"], indent=1))
    print(f"weights: {path}, card: {path.with_suffix('.json')}")


def _average_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", nargs="+", type=Path, metavar="WEIGHTS", help="each the --parent of the next")
    parser.add_argument("--dataset", type=Path, required=True, help="with the cases that none has learnt from")
    parser.add_argument("--held-out", required=True, help="cases to judge on, e.g. A04")
    parser.add_argument(
        "--out", type=_new_weights, required=True, help="weights to write (.safetensors), and their card"
    )


def _average(options: argparse.Namespace) -> None:
    _, held_out = split_by_case(read_dataset(options.dataset), options.held_out.split(","))
    path = average_weights(options.weights, held_out, options.out)
    print(f"weights: {path}, card: {path.with_suffix('.json')}")


def _calibrate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="labelled frames to set score 0.5 on")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="the shipped weights by default")
    parser.add_argument("--held-out", default="", help="cases that the weights have not learnt from, for the card")
    parser.add_argument(
        "--out", type=_new_weights, required=True, help="weights to write (.safetensors), with their card"
    )


def _calibrate(options: argparse.Namespace) -> None:
    cases = read_dataset(options.dataset)
    _, held_out = split_by_case(cases, _names(options.held_out))
    _must_be_judgeable(cases)
    path = calibrate_weights(options.weights, cases, held_out, options.out)
    card = read_card(path)
    print(json.dumps(card["calibration"]))
    print(f"weights: {path}, card: {path.with_suffix('.json')}")


@contextmanager
def _training_bar(iterations: int) -> Iterator[Report]:
    """A progress bar with rate and time left; what is measured on the way stays above it."""
    with tqdm(total=iterations, unit="it", disable=None) as bar:

        def report(state: dict[str, Any]) -> None:
            if state["iteration"] < bar.n:
                bar.reset()
            bar.update(state["iteration"] - bar.n)
            if "per_second" in state:
                waiting = f", {state['waiting']:.0%} waiting" if "waiting" in state else ""
                bar.set_postfix_str(f"loss {state['loss']:.4f}{waiting}")
            else:
                bar.write(json.dumps(state))

        yield report


def _mine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slides", nargs="+", type=Path, metavar="SLIDE")
    parser.add_argument("--out", type=Path, required=True, help="folder for mined.json and the patches")
    parser.add_argument("--mpp", type=_mpp, help="um per pixel, where the file does not say; e.g. 0.2456")
    parser.add_argument("--first-look", type=_possible_score, default=paper.MINING_FIRST_LOOK, help="default 0.5")
    parser.add_argument("--agreement", type=_possible_score, default=paper.MINING_AGREEMENT, help="default 0.8")
    _network_options(parser)
    _cascade_option(parser)


def _mine(options: argparse.Namespace) -> None:
    scorer, card = _scorer(options, cascade=options.cascade)
    options.out.mkdir(parents=True, exist_ok=True)
    model = {"name": card.get("name"), "sha256": card["sha256"]}
    parameters = {
        "first_look": options.first_look,
        "agreement": options.agreement,
        "precision": scorer.precision,
        "cascade": scorer.cascades(options.first_look),
        "code_version": code_version(),
    }
    slides: list[dict[str, Any]] = []
    hpfs: list[Hpf] = []
    try:
        for path in options.slides:
            with open_slide(path) as slide:
                frame = WorkingFrame(slide, _mpp_of(slide, options.mpp))
                with tqdm(total=plan_windows(frame).windows_total, unit="window", disable=None, desc=path.name) as bar:
                    samples, counters = mine_slide(
                        scorer,
                        frame,
                        first_look=options.first_look,
                        agreement=options.agreement,
                        progress=lambda done, bar=bar: void(bar.update(done - bar.n)),  # type: ignore[misc]
                    )
                hpfs += [mined_hpf(frame, sample, slide=path.stem) for sample in samples]
                slides.append(mined_as_json(path.name, samples, counters))
            print(json.dumps({"slide": path.name, **slides[-1]["counters"]}))
    finally:  # a bad slide does not lose what was mined before it
        if slides:
            written = write_mined(options.out, slides, hpfs, model=model, parameters=parameters)
            print(f"{len(hpfs)} samples: {written}")


def _mpp_of(slide: Slide, given: float | None) -> tuple[float, float]:
    """um per pixel as the file says, or as given for one that does not."""
    if slide.mpp is not None:
        return slide.mpp
    if given is None:
        raise ResolutionUnknown(f"{slide.path} does not say its um per pixel; give it with --mpp, e.g. --mpp 0.25")
    return given, given


def _benchmark_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--slide", type=Path, help="a slide to measure on, instead of one that is drawn")
    parser.add_argument(
        "--dataset", type=Path, help="labelled frames on which the cascade is compared with the network"
    )
    parser.add_argument("--size", type=_side, default=5000, help="side in px of the slide that is drawn")
    parser.add_argument(
        "--tiatoolbox", type=Path, metavar="PYTHON", help="a Python that has tiatoolbox, to be measured beside ours"
    )
    parser.add_argument("--rounds", type=_rounds, default=5, help="of which the median is taken; default 5")
    parser.add_argument("--out", type=_new_file, help="JSON file to write as well")
    _network_options(parser)
    _cascade_option(parser)


def _benchmark(options: argparse.Namespace) -> None:
    network, _ = load_weights(options.weights)
    coarse = load_coarse(options.weights) if options.cascade else None
    if "cascade" in options.parts and options.dataset is None:
        raise ValueError("the cascade is compared on labelled frames; name them with --dataset")
    if "cascade" in options.parts and coarse is None:
        raise ValueError("without a coarse network there is no cascade to compare; leave --no-cascade, or distil one")
    bench = Bench(
        network,
        coarse=coarse,
        dataset=options.dataset,
        slide=options.slide,
        size=options.size,
        rounds=options.rounds,
        device=options.device,
        weights=options.weights,
        tiatoolbox=options.tiatoolbox,
    )
    figures = run(bench, options.parts or list(PARTS))
    for name, figure in figures.items():
        print(figure.line(name))
    if options.out is not None:
        rows = {name: {**asdict(figure), "reached": figure.reached} for name, figure in figures.items()}
        options.out.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


def _mined(folder: Path) -> list[Hpf]:
    hpfs = read_mined(folder)
    if not hpfs:
        raise DataSetError(f"{folder} holds no mined sample; ask for less --agreement, or train without --mined")
    return hpfs


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def void(_: object) -> None:
    """Drop a result."""


def _score(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("a score lies between 0 and 1")
    return value


def _possible_score(text: str) -> float:
    value = _score(text)
    if value == 0:
        raise argparse.ArgumentTypeError("every place has a score above 0; ask for more")
    return value


def _side(text: str) -> int:
    value = _number(text)
    if not 1024 <= value <= 100_000:
        raise argparse.ArgumentTypeError("a slide is drawn with 1,024 to 100,000 px a side")
    return int(value)


def _rounds(text: str) -> int:
    value = _number(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("1 to 1,000 rounds are measured")
    return int(value)


def _mpp(text: str) -> float:
    value = _number(text)
    if not 0.05 <= value <= 5:
        raise argparse.ArgumentTypeError("um per pixel of a microscope lie between 0.05 and 5")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number") from None


def _part(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(PARTS)}")
    return text


def _new_file(text: str) -> Path:
    """A file that can be written, which is better known before the work than after it."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path} cannot be written: give a file in a folder that is there")
    return path


def _new_weights(text: str) -> Path:
    """A file of weights; its folder is made if need be."""
    path = Path(text)
    if path.suffix != ".safetensors" or path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} must be a file that ends in .safetensors")
    return path


if __name__ == "__main__":
    sys.exit(main())
