//! What FlowFabric's scheduler and its unblock scanner make of the limits of budgets and quotas: both read them, and both
//! decide alike (`ff-scheduler` 0.15, `claim.rs`; `ff-engine` 0.15, `scanner/unblock.rs`).

/// The hard limits of a budget, by dimension. A limit of 0, or one that is no number, is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hard(Vec<(String, u64)>);

impl Hard {
    /// Of the fields of a budget's limits: `hard:tokens`, `10`, `soft:tokens`, `5` …
    pub fn read(fields: &[String]) -> Self {
        let pairs = fields.chunks_exact(2).filter_map(|pair| {
            let dimension = pair[0].strip_prefix("hard:")?;
            let limit: u64 = pair[1].parse().ok()?;
            (limit > 0).then(|| (dimension.to_owned(), limit))
        });
        Self(pairs.collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The dimensions that have one.
    pub fn dimensions(&self) -> Vec<String> {
        self.0.iter().map(|(dimension, _)| dimension.clone()).collect()
    }

    /// The first dimension of which all is used, with what is used and what may be. Usage comes in the order of
    /// [`dimensions`](Self::dimensions); what is absent is 0.
    pub fn breach(&self, usage: &[Option<String>]) -> Option<(&str, u64, u64)> {
        let used = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok()).unwrap_or(0);
        let both = self.0.iter().zip(usage.iter().map(used));
        both.filter(|((_, limit), used)| used >= limit)
            .map(|((dimension, limit), used)| (dimension.as_str(), used, *limit))
            .next()
    }
}

/// What a quota allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuotaLimits {
    /// How many in a window; 0 for any number.
    pub rate: u64,
    /// How long a window is, seconds.
    pub window_seconds: u64,
    /// How many at once; 0 for any number.
    pub at_once: u64,
}

impl QuotaLimits {
    /// Of a quota's definition: requests a window, its seconds, how many at once. A window that is absent, or of 0, is a
    /// minute.
    pub fn read(fields: &[Option<String>]) -> Self {
        let number = |index: usize| fields.get(index)?.as_ref()?.parse::<u64>().ok();
        Self {
            rate: number(0).unwrap_or(0),
            window_seconds: number(1).filter(|seconds| *seconds > 0).unwrap_or(60),
            at_once: number(2).unwrap_or(0),
        }
    }

    /// Whether it allows everything.
    pub fn is_unlimited(&self) -> bool {
        self.rate == 0 && self.at_once == 0
    }

    /// How long a window is, milliseconds.
    pub fn window_ms(&self) -> u64 {
        self.window_seconds.saturating_mul(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|&text| (!text.is_empty()).then(|| text.to_owned())).collect()
    }

    #[test]
    fn a_budget_is_breached_where_all_of_a_hard_limit_is_used() {
        let hard =
            Hard::read(&texts(&["hard:a", "10", "soft:a", "1", "hard:b", "0", "hard:c", "x", "hard:d", "3"]));
        assert_eq!(hard.dimensions(), ["a", "d"]);
        assert_eq!(hard.breach(&some(&["9", "2"])), None);
        assert_eq!(hard.breach(&some(&["10", ""])), Some(("a", 10, 10)));
        assert_eq!(hard.breach(&some(&["", "4"])), Some(("d", 4, 3)));
    }

    #[test]
    fn a_quota_without_a_window_has_one_of_a_minute() {
        let read = |fields: &[&str]| QuotaLimits::read(&some(fields));
        assert_eq!(read(&["2", "5", "1"]), QuotaLimits { rate: 2, window_seconds: 5, at_once: 1 });
        assert_eq!(read(&["2", "0", ""]).window_seconds, 60);
        assert_eq!(read(&["", "", ""]).window_ms(), 60_000);
        assert!(read(&["0", "5", "0"]).is_unlimited() && !read(&["0", "5", "1"]).is_unlimited());
    }
}
