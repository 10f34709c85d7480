//! Rounder numbers: what to try in place of a number, the plainest first.

/// What makes a number plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toward {
    /// This one, then any with few digits that are not 0: for settings.
    Round(i64),
    /// This one, then the same and smaller ones: for times of events.
    Small(i64),
}

/// A time below this is not made smaller, other than to the number that is best.
const SMALL: u64 = 100;

/// Numbers that are plainer than this one, the plainest first. Each is, by a measure that has an end: a number that is
/// replaced again and again is soon as plain as it gets.
pub(super) fn plainer(value: i64, toward: Toward) -> Vec<i64> {
    let size = value.unsigned_abs();
    let with_sign = |size: u64| i64::try_from(size).ok().map(|size| size * value.signum());
    let mut sizes = Vec::new();
    if let Toward::Small(_) = toward {
        let smaller = [SMALL, 1_000, 10_000, rounded(size / 2, 1).max(SMALL)];
        sizes.extend(smaller.into_iter().filter(|other| *other < size));
    }
    for digits in 1..digits(size) {
        let down = rounded(size, digits);
        sizes.extend([down, down + unit(size, digits)]);
    }
    let best = match toward {
        Toward::Round(best) | Toward::Small(best) => best,
    };
    let mut plainer = vec![best];
    plainer.extend(sizes.into_iter().filter_map(with_sign));
    plainer.retain(|other| cost(*other, toward) < cost(value, toward));
    let mut seen = std::collections::BTreeSet::new();
    plainer.retain(|other| seen.insert(*other));
    plainer
}

/// What is to become less: whether it is not the best number, how many digits it has, how big it is.
fn cost(value: i64, toward: Toward) -> (bool, u32, u64) {
    let size = value.unsigned_abs();
    match toward {
        Toward::Round(best) => (value != best, digits(size), 0),
        Toward::Small(best) => (value != best, digits(size), size),
    }
}

/// Digits up to the last that is not 0: 2 for 1,500.
fn digits(mut size: u64) -> u32 {
    while size > 0 && size.is_multiple_of(10) {
        size /= 10;
    }
    size.checked_ilog10().map_or(0, |log| log + 1)
}

/// What the last digit stands for, of a number with so many.
fn unit(size: u64, digits: u32) -> u64 {
    let places = size.checked_ilog10().map_or(0, |log| log + 1);
    10_u64.pow(places.saturating_sub(digits))
}

/// Rounded down to so many digits.
fn rounded(size: u64, digits: u32) -> u64 {
    size - size % unit(size, digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_number_is_tried_first_then_those_with_fewer_digits() {
        assert_eq!(plainer(1_873, Toward::Round(3_000)), [3_000, 1_000, 2_000, 1_800, 1_900, 1_870, 1_880]);
        assert!(plainer(3_000, Toward::Round(3_000)).is_empty());
        assert_eq!(plainer(2_000, Toward::Round(3_000)), [3_000]);
    }

    #[test]
    fn a_time_becomes_smaller_too_and_keeps_its_sign() {
        assert_eq!(plainer(2_600, Toward::Small(0)), [0, 100, 1_000, 2_000, 3_000]);
        assert_eq!(plainer(-430, Toward::Small(0)), [0, -100, -200, -400, -500]);
        assert_eq!(plainer(100, Toward::Small(0)), [0]);
        assert_eq!(plainer(7, Toward::Small(0)), [0]);
    }

    #[test]
    fn a_number_is_soon_as_plain_as_it_gets() {
        for toward in [Toward::Round(100), Toward::Small(0)] {
            for start in [1, 99, 101, 12_345, 86_400_000, -77_777, i64::from(u32::MAX)] {
                // Whichever candidate is taken, the best excepted.
                for choose in [|all: &[i64]| all.first().copied(), |all: &[i64]| all.last().copied()] {
                    let (mut value, mut steps) = (start, 0);
                    let best = match toward {
                        Toward::Round(best) | Toward::Small(best) => best,
                    };
                    loop {
                        let mut others = plainer(value, toward);
                        others.retain(|other| *other != best);
                        let Some(next) = choose(&others) else { break };
                        value = next;
                        steps += 1;
                        assert!(steps < 40, "{start} toward {toward:?} goes on and on");
                    }
                }
            }
        }
    }
}
