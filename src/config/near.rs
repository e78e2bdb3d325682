//! The options of near caches.

use super::problem::{Problem, Result};
use super::raw::Raw;
use super::table::Name;
use super::value;
use crate::store::layers::{NearOptions, NearSource};

/// A patience below this would take every busy cache for one that failed.
const LEAST_PATIENCE_MS: u128 = 50;

/// Resolves where near caches are; `None` where there are none.
pub(super) fn resolve_near(raw: &Raw) -> Result<Option<NearOptions>> {
    let caches: Vec<&str> = raw.list(Name::Near).collect();
    let own = [Name::NearSlice, Name::NearMin, Name::NearPatience, Name::NearTokenFile, Name::NearCaBundle];
    if caches.is_empty() {
        return match own.into_iter().find(|name| raw.is_given(*name)) {
            Some(name) => {
                let place = raw.describe(name);
                Err(Problem::usage(format!("{place} needs near caches: give near too, or remove {place}")))
            }
            None => Ok(None),
        };
    }
    let wrong = |name: Name, what: &str| Problem::usage(format!("{}: {what}", raw.describe(name)));
    let source: NearSource = caches.join(",").parse().map_err(|what: String| wrong(Name::Near, &what))?;
    if matches!(source, NearSource::Accelerator(_)) && raw.is_given(Name::NearTokenFile) {
        let what = "an accelerator takes the signature of the bucket and no token: remove near-token-file";
        return Err(wrong(Name::NearTokenFile, what));
    }
    let slice_bytes = raw.required(Name::NearSlice, value::size)?;
    if !slice_bytes.is_power_of_two() {
        return Err(wrong(Name::NearSlice, "write a power of two, as in 2MiB"));
    }
    let patience = raw.required(Name::NearPatience, value::parse_time)?;
    if patience.as_millis() < LEAST_PATIENCE_MS {
        return Err(wrong(Name::NearPatience, "write 50ms or more"));
    }
    Ok(Some(NearOptions {
        source,
        slice_bytes,
        min_bytes: raw.required(Name::NearMin, value::size)?,
        patience,
        token_file: raw.path(Name::NearTokenFile),
        ca_bundle: raw.path(Name::NearCaBundle),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::Origin;

    fn resolved(options: &[(Name, &str)]) -> Result<Option<NearOptions>> {
        let mut raw = Raw::default();
        options.iter().for_each(|(name, text)| raw.set(*name, *text, Origin::Flag).unwrap());
        resolve_near(&raw)
    }

    #[test]
    fn caches_may_be_given_one_by_one() {
        assert_eq!(resolved(&[]).unwrap(), None);
        let near = resolved(&[(Name::Near, "http://a:1"), (Name::Near, "http://b:2")]).unwrap().unwrap();
        assert_eq!((near.source.to_string().as_str(), near.slice_bytes), ("http://a:1,http://b:2", 2 << 20));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_do() {
        let near = (Name::Near, "dns:near:8080");
        for (options, words) in [
            (vec![(Name::NearSlice, "1MiB")], "give near too"),
            (vec![(Name::Near, "near:8080")], "write http://HOST:PORT"),
            (vec![near, (Name::NearSlice, "3MiB")], "power of two"),
            (vec![near, (Name::NearPatience, "1ms")], "50ms or more"),
            (vec![(Name::Near, "accelerator"), (Name::NearTokenFile, "/t")], "remove near-token-file"),
        ] {
            let problem = resolved(&options).unwrap_err().to_string();
            assert!(problem.contains(words), "{options:?}: {problem}");
        }
    }
}
