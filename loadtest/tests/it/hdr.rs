//! `.hlog` and `.hgrm` are read back by HdrHistogram for Python, from PyPI: an implementation that is not ours.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use seawall_loadtest::report::hdr;
use seawall_loadtest::{Class, Mode, Plan, run};

use crate::{never, server};

/// Holds the percentiles of all lines with a tag, and the lines of an `.hgrm`, against what we say.
const READ: &str = r#"
import sys
from hdrh.log import HistogramLogReader
from hdrh.histogram import HdrHistogram
total = HdrHistogram(1, 3600 * 1000 * 1000, 3)
reader = HistogramLogReader(sys.argv[1], total)
while True:
    one = reader.get_next_interval_histogram()
    if not one:
        break
    if one.get_tag() == 'hit':
        total.add(one)
steps = [(step.value_iterated_to, step.count_added_in_this_iter_step) for step in total.get_recorded_iterator()]
up_to = lambda most: sum(count for value, count in steps if value <= most)
assert total.get_total_count() == int(sys.argv[3]), total.get_total_count()
for quantile, micros in zip((0.5, 0.9, 0.99, 0.999, 1.0), map(int, sys.argv[4:])):
    rank = quantile * total.get_total_count()
    # The least value that so many do not exceed.
    assert up_to(micros - 1) < rank + 1e-6 <= up_to(micros) + 2e-6, (quantile, micros)
rows = [line.split() for line in open(sys.argv[2]) if line[0] == ' ' and line.strip()[0].isdigit()]
for row in rows:
    micros, quantile = round(float(row[0]) * 1000), float(row[1])
    counted = up_to(micros)
    assert counted == int(row[2]) and counted + 1e-6 >= quantile * total.get_total_count(), row
assert int(rows[-1][2]) == total.get_total_count(), rows[-1]
"#;

#[tokio::test]
async fn an_independent_implementation_reads_the_same_percentiles() {
    let (address, _told) =
        server(|_| "HTTP/1.1 200 OK\r\nX-Cache: HIT\r\nContent-Length: 2\r\n\r\nok".to_owned())
            .await;
    let open = Mode::Open { rate: 500.0 };
    let plan = Plan::new(format!("http://{address}/"), open, Duration::from_secs(2));
    let report = run(plan, never()).await.unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hdr");
    std::fs::create_dir_all(&folder).unwrap();
    let (hlog, hgrm) = (folder.join("run.hlog"), folder.join("run.hgrm"));
    std::fs::write(&hlog, hdr::hlog(&report)).unwrap();
    std::fs::write(&hgrm, hdr::hgrm(&report)).unwrap();

    let modules = folder.join("python");
    if !modules.join("hdrh").exists() {
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        let installed = Command::new("python3")
            .args(pip)
            .args(["hdrhistogram==0.10.8", "--target"])
            .arg(&modules)
            .status();
        assert!(
            installed.unwrap().success(),
            "pip cannot install hdrhistogram"
        );
    }
    let hits = &report.classes[&Class::Hit];
    let latency = &hits.from_intended;
    let expect = [
        hits.count,
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
        latency.p999_us,
        latency.max_us,
    ];
    let read = Command::new("python3")
        .env("PYTHONPATH", &modules)
        .args(["-c", READ])
        .args([&hlog, &hgrm])
        .args(expect.map(|number| number.to_string()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{said}");
}
