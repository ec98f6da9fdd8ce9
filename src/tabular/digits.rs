//! Writes decimals and times straight into a file.
//!
//! A file has millions of them, and formatting them with the general functions, which return a new `String` for each, took longer
//! than reading them from the database. Whatever is unusual is left to those functions, whose text is the reference in tests.

use chrono::{DateTime, Datelike, NaiveDateTime, Offset, Timelike, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;

use super::columns::format_time;
use crate::domain::money::format_decimal;

/// Enough for the digits of a `u64`, a scale of 28, a point and a sign.
const DECIMAL_BYTES: usize = 64;

/// Writes the text of [`format_decimal`].
pub(super) fn write_decimal(value: Decimal, out: &mut Vec<u8>) {
    match two_decimals_or_more(value) {
        Some((units, scale)) => write_units(units, scale, value.is_sign_negative(), out),
        None => out.extend_from_slice(format_decimal(value).as_bytes()),
    }
}

/// The digits of `value` and how many of them are decimals, without trailing zeros; `None` if they do not fit, or for zero, which
/// may have a sign.
fn two_decimals_or_more(value: Decimal) -> Option<(u64, u32)> {
    let (mut units, mut scale) = (u64::try_from(value.mantissa().unsigned_abs()).ok()?, value.scale());
    if units == 0 {
        return None;
    }
    while scale > 2 && units.is_multiple_of(10) {
        units /= 10;
        scale -= 1;
    }
    if scale < 2 {
        units = units.checked_mul(10_u64.pow(2 - scale))?;
        scale = 2;
    }
    Some((units, scale))
}

fn write_units(mut units: u64, scale: u32, is_negative: bool, out: &mut Vec<u8>) {
    let mut buffer = [0; DECIMAL_BYTES];
    let mut start = DECIMAL_BYTES;
    let mut put = |byte: u8| {
        start -= 1;
        buffer[start] = byte;
    };
    let mut written = 0;
    while units > 0 || written <= scale {
        if written == scale {
            put(b'.');
        }
        put(digit(units % 10));
        units /= 10;
        written += 1;
    }
    if is_negative {
        put(b'-');
    }
    out.extend_from_slice(&buffer[start..]);
}

/// Writes the text of [`format_time`].
pub(super) fn write_time(zone: Tz, time: DateTime<Utc>, out: &mut Vec<u8>) {
    let local = time.with_timezone(&zone);
    let offset = local.offset().fix().local_minus_utc();
    let clock = local.naive_local();
    // A leap second, a year of other than four digits, and offsets with seconds, before there were time zones.
    if clock.nanosecond() >= 1_000_000_000 || !(0..=9999).contains(&clock.year()) || offset % 60 != 0 {
        out.extend_from_slice(format_time(zone, time).as_bytes());
        return;
    }
    write_clock(clock, out);
    if offset == 0 {
        out.push(b'Z');
        return;
    }
    let minutes = offset.unsigned_abs() / 60;
    out.push(if offset < 0 { b'-' } else { b'+' });
    write_two(minutes / 60, out);
    out.push(b':');
    write_two(minutes % 60, out);
}

fn write_clock(clock: NaiveDateTime, out: &mut Vec<u8>) {
    let year = clock.year().unsigned_abs();
    write_two(year / 100, out);
    write_two(year % 100, out);
    for (separator, part) in [
        (b'-', clock.month()),
        (b'-', clock.day()),
        (b'T', clock.hour()),
        (b':', clock.minute()),
        (b':', clock.second()),
    ] {
        out.push(separator);
        write_two(part, out);
    }
    write_fraction(clock.nanosecond(), out);
}

/// In groups of three digits, as many as are needed.
fn write_fraction(nanoseconds: u32, out: &mut Vec<u8>) {
    if nanoseconds == 0 {
        return;
    }
    let (mut rest, digits) = match nanoseconds {
        nanoseconds if nanoseconds.is_multiple_of(1_000_000) => (nanoseconds / 1_000_000, 3),
        nanoseconds if nanoseconds.is_multiple_of(1_000) => (nanoseconds / 1_000, 6),
        nanoseconds => (nanoseconds, 9),
    };
    out.push(b'.');
    let start = out.len();
    out.resize(start + digits, b'0');
    for byte in out[start..].iter_mut().rev() {
        *byte = digit((rest % 10).into());
        rest /= 10;
    }
}

/// A number below 100.
fn write_two(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[digit((number / 10 % 10).into()), digit((number % 10).into())]);
}

/// The last digit of `number`.
fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn decimal(value: Decimal) -> String {
        let mut out = vec![];
        write_decimal(value, &mut out);
        String::from_utf8(out).expect("digits")
    }

    fn time(zone: Tz, time: DateTime<Utc>) -> String {
        let mut out = vec![];
        write_time(zone, time, &mut out);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn edge_cases_are_written_as_everywhere_else() {
        for text in
            ["0", "-0", "0.00", "0.000", "-0.0", "0.001", "5", "-5", "100.50", "0.10", "0.0100", "18446744073709551615"]
        {
            let value: Decimal = text.parse().expect("a decimal");
            assert_eq!(decimal(value), format_decimal(value), "{text}");
        }
        let zones = [Tz::UTC, Tz::Europe__London, Tz::Asia__Kathmandu, Tz::America__St_Johns, Tz::Africa__Monrovia];
        for text in
            ["1883-11-18T12:00:00Z", "1960-07-01T00:00:00.5Z", "2026-07-15T23:59:60.25Z", "2026-01-15T10:00:00.000001Z"]
        {
            let instant: DateTime<Utc> = text.parse().expect("a time");
            for zone in zones {
                assert_eq!(time(zone, instant), format_time(zone, instant), "{text} in {zone}");
            }
        }
        for year in [-1, 9999, 10_000] {
            let instant = DateTime::UNIX_EPOCH.with_year(year).expect("a time");
            assert_eq!(time(Tz::UTC, instant), format_time(Tz::UTC, instant), "{year}");
        }
    }

    proptest! {
        #[test]
        fn decimals_are_written_as_everywhere_else(units in any::<i128>(), shift in 32_u32..128, scale in 0_u32..=28) {
            let value = Decimal::from_i128_with_scale(units >> shift, scale);
            prop_assert_eq!(decimal(value), format_decimal(value));
        }

        #[test]
        fn times_are_written_as_everywhere_else(
            seconds in -4_000_000_000_i64..8_000_000_000,
            nanoseconds in prop_oneof![
                Just(0_u32),
                (0_u32..1_000).prop_map(|millis| millis * 1_000_000),
                (0_u32..1_000_000).prop_map(|micros| micros * 1_000),
                0_u32..1_000_000_000,
            ],
            zone in prop::sample::select(vec![Tz::UTC, Tz::Asia__Kolkata, Tz::America__New_York, Tz::Pacific__Apia]),
        ) {
            let instant = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(nanoseconds.into());
            prop_assert_eq!(time(zone, instant), format_time(zone, instant));
        }
    }
}
