//! Figures as text, and their medians.

use std::cmp::Ordering;
use std::time::Duration;

/// A number with a comma as the thousands separator.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in MB.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A number of bytes in kB.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub(crate) fn kilobytes(bytes: usize) -> String {
    format!("{:.1} kB", bytes as f64 / 1e3)
}

/// A rounded number, such as a rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are in the range of u64")]
pub(crate) fn whole(number: f64) -> String {
    thousands(number.round() as u64)
}

/// A time in seconds.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// A time in microseconds.
pub(crate) fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

/// A time as a multiple of another.
pub(crate) fn ratio(time: Duration, unit: Duration) -> f64 {
    time.as_secs_f64() / unit.as_secs_f64()
}

/// Returns the median, of two in the middle the larger.
pub(crate) fn median<T: Copy + Default + PartialOrd>(figures: impl IntoIterator<Item = T>) -> T {
    let mut figures: Vec<_> = figures.into_iter().collect();
    figures.sort_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let shown = [0, 999, 1_000, 28_123, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "28,123", "1,234,567"]);
    }

    #[test]
    fn the_median_ignores_the_order() {
        assert_eq!(median([3, 1, 2]), 2);
        assert_eq!(median([4, 1, 3, 2]), 3);
        assert!((median([2.5, 0.5, 1.5_f64]) - 1.5).abs() < f64::EPSILON);
        assert_eq!(median(Vec::<Duration>::new()), Duration::ZERO);
    }
}
