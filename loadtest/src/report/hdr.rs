//! The formats of HdrHistogram: `.hlog`, one line for each second and class, and `.hgrm`, percentiles as text.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use super::Report;

/// What is written as milliseconds: latencies are kept in microseconds.
const MICROS_PER_MILLI: f64 = 1_000.0;
/// Of a histogram somebody hands in, in base64.
const ENCODED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Lines of an `.hgrm` for each halving of what is left to 100 %.
const TICKS_PER_HALF: u32 = 5;

/// As other HdrHistograms read it.
pub(crate) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => STANDARD.encode(bytes),
        Err(_) => String::new(), // counts past 2^63 only
    }
}

/// None: it is none, or too large.
pub(crate) fn decode(text: &str) -> Option<Histogram<u64>> {
    if text.len() > ENCODED_BYTES_MAX {
        return None;
    }
    let bytes = STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut &*bytes).ok()
}

/// Each second, for each class: `Tag=hit` from the intended times, `Tag=hit-from-send` from the sent ones. Values are
/// microseconds.
pub fn hlog(report: &Report) -> String {
    let began = UNIX_EPOCH + Duration::from_secs_f64(report.began_unix_s.max(0.0));
    let (mut text, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("seawall loadtest; values are microseconds")
        .with_start_time(began)
        .with_base_time(began)
        // The maximum column is in milliseconds, as in logs of other tools.
        .with_max_value_divisor(MICROS_PER_MILLI);
    if let Ok(mut log) = builder.begin_log_with(&mut text, &mut serializer) {
        for interval in &report.intervals {
            let at = Duration::from_secs_f64(interval.at_s.max(0.0));
            let length = Duration::from_secs_f64(interval.length_s.max(0.0));
            for (class, report) in &interval.classes {
                let sent = format!("{}-from-send", class.name());
                let lines = [
                    (class.name(), &report.from_intended),
                    (sent.as_str(), &report.from_send),
                ];
                for (tag, latency) in lines {
                    if let Some(histogram) = decode(&latency.histogram) {
                        // Writing to memory does not fail.
                        let _ = log.write_histogram(&histogram, at, length, Tag::new(tag));
                    }
                }
            }
        }
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The whole run from the intended times, errors apart, in milliseconds.
pub fn hgrm(report: &Report) -> String {
    let all = report.latency();
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut tick = 0;
    loop {
        // Each half of what is left to 100 % has as many lines.
        let left = 0.5_f64.powf(f64::from(tick) / f64::from(TICKS_PER_HALF));
        let value = all.value_at_quantile(1.0 - left);
        let counted = all.count_between(0, value);
        let is_last = counted >= all.len();
        let quantile = if is_last { 1.0 } else { 1.0 - left };
        let millis = value as f64 / MICROS_PER_MILLI;
        // Writing to a String cannot fail.
        let _ = write!(text, "{millis:>12.3} {quantile:>2.12} {counted:>10}");
        if !is_last {
            let _ = write!(text, " {:>14.2}", 1.0 / left);
        }
        text.push('\n');
        if is_last {
            break;
        }
        tick += 1;
    }
    let (mean, deviation) = (
        all.mean() / MICROS_PER_MILLI,
        all.stdev() / MICROS_PER_MILLI,
    );
    let max = all.max() as f64 / MICROS_PER_MILLI;
    let _ = writeln!(
        text,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    );
    let _ = writeln!(
        text,
        "#[Max     = {max:>12.3}, Total count    = {:>12}]",
        all.len()
    );
    let (buckets, sub_buckets) = (23, 2_048);
    let _ = writeln!(
        text,
        "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]"
    );
    text
}
