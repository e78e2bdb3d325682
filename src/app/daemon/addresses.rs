//! The addresses that requests go to, as `status` shows them.

use serde_json::{Map, Value, json};

use crate::base::Clock;
use crate::store::{Addresses, Served};

/// The addresses of a mount's store.
pub(super) struct Reached {
    /// What is known of them.
    pub(super) addresses: Addresses,
    /// The clock by which the store tells ages.
    pub(super) clock: Clock,
}

impl Reached {
    /// By name and address: the requests sent to it, its share of those to the name, its failures, and whether it is
    /// passed over now.
    pub(super) fn shown(&self) -> Value {
        shown(&self.addresses.served(&self.clock))
    }
}

fn shown(served: &[Served]) -> Value {
    let mut names = Map::new();
    for one in served {
        let of_name = served.iter().filter(|other| other.name == one.name);
        let all: u64 = of_name.map(|other| other.requests).sum();
        let facts = json!({
            "requests": one.requests,
            "share-percent": (100 * one.requests).checked_div(all).unwrap_or_default(),
            "failures": one.failures,
            "passed-over": one.is_passed_over,
        });
        let name = names.entry(one.name.clone()).or_insert_with(|| json!({}));
        name[one.address.to_string()] = facts;
    }
    Value::Object(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_shown_below_its_name_with_its_share() {
        let served = |name: &str, address: &str, requests, failures, is_passed_over| Served {
            name: name.to_owned(),
            address: address.parse().unwrap(),
            requests,
            failures,
            is_passed_over,
        };
        let all = [
            served("a:80", "10.0.0.1:80", 30, 0, false),
            served("a:80", "10.0.0.2:80", 10, 2, true),
            served("b:443", "[::1]:443", 0, 1, true),
        ];
        let expected = json!({
            "a:80": {
                "10.0.0.1:80": {"requests": 30, "share-percent": 75, "failures": 0, "passed-over": false},
                "10.0.0.2:80": {"requests": 10, "share-percent": 25, "failures": 2, "passed-over": true},
            },
            "b:443": {"[::1]:443": {"requests": 0, "share-percent": 0, "failures": 1, "passed-over": true}},
        });
        assert_eq!(shown(&all), expected);
    }
}
