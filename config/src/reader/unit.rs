//! Durations, sizes and socket addresses, as a person writes them.

use std::net::SocketAddr;
use std::time::Duration;

use super::echo;

/// The longest duration: ten years.
pub const DURATION_MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// `500ms`, `60s`, `5m`, `1h`, `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text).ok_or_else(|| {
        format!(
            "{} is not a duration; write a whole number and ms, s, m, h or d, such as \"60s\"",
            echo(text)
        )
    })?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    let duration = match unit {
        "" => {
            return Err(format!(
                "{number} of what? Write the unit, such as \"{number}s\" for seconds (ms, s, m, h, d)"
            ));
        }
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(60 * 60),
        "d" => seconds(24 * 60 * 60),
        _ => {
            return Err(format!(
                "{} is no unit of time; ms, s, m, h and d are",
                echo(unit)
            ));
        }
    };
    duration
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| format!("{} is too long; at most \"3650d\"", echo(text)))
}

/// `64KiB`, `512MiB`, `4GiB`; decimal `kB`, `MB`, `GB` too.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text).ok_or_else(|| {
        format!(
            "{} is not a size; write a whole number and KiB, MiB or GiB, such as \"512MiB\"",
            echo(text)
        )
    })?;
    let bytes = match unit {
        "" => {
            return Err(format!(
                "{number} of what? Write the unit, such as \"{number}MiB\" (B, KiB, MiB, GiB, TiB)"
            ));
        }
        "B" => Some(number),
        "kB" | "KB" => number.checked_mul(1_000),
        "MB" => number.checked_mul(1_000_000),
        "GB" => number.checked_mul(1_000_000_000),
        "TB" => number.checked_mul(1_000_000_000_000),
        "KiB" => number.checked_mul(1 << 10),
        "MiB" => number.checked_mul(1 << 20),
        "GiB" => number.checked_mul(1 << 30),
        "TiB" => number.checked_mul(1 << 40),
        _ => {
            return Err(format!(
                "{} is no unit of size; B, KiB, MiB, GiB and TiB are",
                echo(unit)
            ));
        }
    };
    bytes.ok_or_else(|| format!("{} is more than can be counted", echo(text)))
}

/// `127.0.0.1:8080`, `[::1]:8080`.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let hint = match text.strip_prefix(':') {
        Some(port) => {
            format!("127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for every address")
        }
        None if text.starts_with("localhost:") => text.replacen("localhost", "127.0.0.1", 1),
        None if text.starts_with("*:") => text.replacen('*', "0.0.0.0", 1),
        None => "127.0.0.1:8080 or [::1]:8080".into(),
    };
    text.parse().map_err(|_| {
        format!(
            "{} is not an address and a port; write {}",
            echo(text),
            hint.escape_debug()
        )
    })
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let cut = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(cut);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    (unit.bytes().all(|b| b.is_ascii_alphabetic())).then_some(())?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_whole_number_and_a_unit() {
        let check = |text: &str, expect: Option<u64>| {
            let millis = duration(text).ok().map(|duration| duration.as_millis());
            assert_eq!(millis, expect.map(u128::from), "{text:?}");
        };
        check("500ms", Some(500));
        check("60s", Some(60_000));
        check("5 m", Some(300_000));
        check("1h", Some(3_600_000));
        check("7d", Some(604_800_000));
        check("0s", Some(0));
        check("3650d", Some(DURATION_MAX.as_secs() * 1000));
        for bad in [
            "",
            "60",
            "s",
            "-1s",
            "+1s",
            "1.5h",
            "1h30m",
            "1S",
            "1w",
            "3651d",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_size_has_a_whole_number_and_a_unit() {
        let check =
            |text: &str, expect: Option<u64>| assert_eq!(size(text).ok(), expect, "{text:?}");
        check("64KiB", Some(65_536));
        check("512MiB", Some(512 << 20));
        check("4 GiB", Some(4 << 30));
        check("10MB", Some(10_000_000));
        check("7B", Some(7));
        for bad in ["", "64", "64K", "1.5GiB", "-1B", "99999999999TiB"] {
            check(bad, None);
        }
    }
}
