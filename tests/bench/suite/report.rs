//! Figures on the terminal, ratios first.

use std::time::Duration;

/// Which side of a budget is good.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// At most this much.
    AtMost(f64),
    /// At least this much.
    AtLeast(f64),
}

/// A headline for the figures below it.
pub fn headline(text: &str) {
    println!("\n  {text}");
}

/// A figure without a budget.
pub fn figure(name: &str, value: &str) {
    println!("    {name:<58} {value}");
}

/// A figure with its budget; `unit` is written behind both.
pub fn against(name: &str, value: f64, budget: Budget, unit: &str) {
    let (met, bound) = match budget {
        Budget::AtMost(most) => (value <= most, format!("≤ {}", number(most))),
        Budget::AtLeast(least) => (value >= least, format!("≥ {}", number(least))),
    };
    let verdict = if met { "met" } else { "NOT MET" };
    println!("    {name:<58} budget {bound} {unit}, now {} {unit}: {verdict}", number(value));
}

/// Microseconds with the precision they deserve.
pub fn micros(time: Duration) -> String {
    format!("{} µs", number(time.as_secs_f64() * 1e6))
}

/// A duration per item.
pub fn each(total: Duration, items: usize) -> Duration {
    total / u32::try_from(items.max(1)).unwrap_or(u32::MAX)
}

/// `a` as a multiple of `b`.
pub fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Items per second.
pub fn rate(items: usize, time: Duration) -> f64 {
    // Counts of a bench are far below 2^52.
    items as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Three significant digits below a thousand, whole numbers above.
pub fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
