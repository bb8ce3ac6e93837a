from typing import Any

from rich.console import Console

from benchmarks.render import WIDTH, latency_rows, markdown, terminal_table


def rendered(report: dict[str, Any], width: int) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_table(report))
    return capture.get().splitlines()


def test_the_table_fits_in_100_columns_and_breaks_no_name(benched: Any) -> None:
    lines = rendered(benched.report, 400)
    tables = [line.rstrip() for line in lines if line.startswith(" ")]
    assert max(map(len, tables)) <= WIDTH
    assert any(line.split()[:1] == ["tflite-float32"] for line in rendered(benched.report, WIDTH))


def test_slower_and_wider_figures_still_fit(benched: Any) -> None:
    report = {**benched.report, "rows": [dict(row) for row in benched.report["rows"]]}
    for row in report["rows"]:
        if row["ok"]:
            row["name"] = row["name"].replace("tflite-", "tflite-waveform-")
            row |= {"latency_ms": {"p50": 12345.6, "p90": 23456.7, "p99": 23456.7}}
            row |= {"in_memory_latency_ms": {"p50": 12345.6}, "realtime_factor": 12.34567, "load_ms": 123456.0}
            row |= {"start_ms": 123456.0, "first_answer_ms": 12345.0, "peak_memory_mb": 1309.0, "file_mb": 222.0}
    report["ratios"] = [{**ratio, "median": 123.4, "low": 101.2, "high": 145.6} for ratio in benched.report["ratios"]]
    tables = [line.rstrip() for line in rendered(report, 400) if line.startswith(" ")]
    assert max(map(len, tables)) <= WIDTH


def test_a_failed_row_has_no_figures_and_the_original_no_agreement(benched: Any) -> None:
    cells = {line[0]: line for line in latency_rows(benched.report, 1)}
    assert cells["tflite-int8"][1] == "failed"
    assert set(cells["tflite-int8"][2:]) == {"-"}
    assert cells["original"][-1] == "-"
    assert cells["tflite-float32"][-1] == "5/5"


def test_the_markdown_is_a_table_with_a_line_for_every_row(benched: Any) -> None:
    text = markdown(benched.report)
    assert benched.markdown == text + "\n"
    table = text.split("\n\n")[1].splitlines()
    assert len(table) == 2 + len(benched.report["rows"])
    assert len({line.count("|") for line in table}) == 1


def test_the_verdict_and_the_machine_stand_below_the_tables(benched: Any) -> None:
    assert "keeps up at hop 1.0 s:" in benched.stdout
    assert "sub-second:" in benched.stdout
    assert benched.report["machine"]["kernel"] in benched.stdout
