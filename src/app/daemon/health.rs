//! Reports the health of the store: a warning in the log when a problem begins and a line when it ends, and the status
//! line of the service manager. `metrics` judges the health.

use std::sync::Arc;
use std::time::Duration;

use super::notify::Manager;
use crate::base::Clock;
use crate::metrics::{Condition, Metrics};

/// How often it is looked while requests are under way. While there are none it is not looked at all.
const EVERY: Duration = Duration::from_secs(1);

/// What the health of a mount is judged by.
#[derive(Clone)]
pub(super) struct HealthWatch {
    pub(super) metrics: Arc<Metrics>,
    /// The clock that requests are timed with.
    pub(super) clock: Clock,
    /// The URL of what is mounted.
    pub(super) source: String,
}

impl HealthWatch {
    /// Watches, and tells the log and the manager. Never returns.
    pub(super) async fn keep_telling(&self, manager: &Manager) {
        let mut began = None;
        loop {
            self.metrics.pulse().wake().await;
            loop {
                tokio::time::sleep(EVERY).await;
                let now = self.clock.elapsed();
                let condition = self.metrics.condition(now);
                if let Some(told) = turn(&condition, &mut began, now) {
                    tracing::warn!("{told}");
                    match began {
                        Some(_) => manager.status(&told),
                        None => manager.status(&format!("Serving {}", Manager::shown(&self.source))),
                    }
                }
                if condition.is_idle && began.is_none() {
                    break;
                }
            }
        }
    }
}

/// What there is to tell: that trouble begins, or that it is over. `began` is when it was told to begin.
fn turn(condition: &Condition, began: &mut Option<Duration>, now: Duration) -> Option<String> {
    match (condition.trouble, *began) {
        (Some(_), None) => {
            *began = Some(now);
            Some(condition.to_string())
        }
        (None, Some(at)) => {
            *began = None;
            let lasted = now.saturating_sub(at);
            let has_answered = condition.answered.is_some_and(|ago| ago <= lasted);
            Some(match has_answered {
                true => format!("the store answers again, {} s after the warning", lasted.as_secs()),
                false => {
                    "no request was sent to the store for a minute: whether it answers again is unknown".to_owned()
                }
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Trouble;

    #[test]
    fn trouble_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let second = Duration::from_secs;
        let (mut began, well) = (None, Condition::default());
        let silent = Condition { trouble: Some((Trouble::Silent, second(10))), ..well };
        let answered = Condition { answered: Some(second(1)), ..well };
        let mut at = |condition: &Condition, seconds| turn(condition, &mut began, second(seconds));
        assert_eq!(at(&well, 1), None);
        assert_eq!(at(&silent, 11).unwrap(), "the store has not answered for 10 s");
        assert_eq!(at(&silent, 12), None);
        assert_eq!(at(&answered, 31).unwrap(), "the store answers again, 20 s after the warning");
        assert_eq!(at(&answered, 32), None);
        assert!(at(&silent, 40).is_some());
        let long_ago = Condition { answered: Some(second(61)), ..well };
        assert!(at(&long_ago, 100).unwrap().contains("no request was sent to the store for a minute"));
    }
}
