//! The options of near caches.

use super::problem::{Problem, Result};
use super::raw::Raw;
use super::table::Name;
use super::value;
use crate::read::{NearTrust, Verify};
use crate::store::Dialect;
use crate::store::layers::{NearOptions, NearSource};

/// A patience below this would take every busy cache for one that failed.
const LEAST_PATIENCE_MS: u128 = 50;

/// Resolves where near caches are; `None` where there are none.
pub(super) fn resolve_near(raw: &Raw) -> Result<Option<NearOptions>> {
    let caches: Vec<&str> = raw.list(Name::Near).collect();
    let own =
        [Name::NearSlice, Name::NearMin, Name::NearPatience, Name::NearTrust, Name::NearTokenFile, Name::NearCaBundle];
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

/// From which size on objects are compared with the store's checksum before programs see their bytes.
pub(super) fn resolve_proven_from(raw: &Raw, near: Option<&NearOptions>, dialect: Dialect) -> Result<Option<u64>> {
    let trust: NearTrust = raw.choice(Name::NearTrust)?;
    let Some(near) = near.filter(|_| trust == NearTrust::Whole) else { return Ok(None) };
    let place = raw.describe(Name::NearTrust);
    if dialect == Dialect::S3 {
        let what = "whole needs the checksum of whole objects, which S3 does not keep: remove it, or remove near";
        return Err(Problem::usage(format!("{place}: {what}")));
    }
    if raw.choice::<Verify>(Name::Verify)? == Verify::Off {
        let verify = raw.describe(Name::Verify);
        return Err(Problem::usage(format!(
            "{place} holds files back until they are verified, but {verify}=off disables that: give only one of them"
        )));
    }
    Ok(Some(near.min_bytes))
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
            (vec![(Name::NearTrust, "whole")], "give near too"),
        ] {
            let problem = resolved(&options).unwrap_err().to_string();
            assert!(problem.contains(words), "{options:?}: {problem}");
        }
    }

    #[test]
    fn what_is_proved_whole_needs_a_checksum() {
        let proven = |options: &[(Name, &str)], dialect| {
            let mut raw = Raw::default();
            options.iter().for_each(|(name, text)| raw.set(*name, *text, Origin::Flag).unwrap());
            let near = resolve_near(&raw).unwrap();
            resolve_proven_from(&raw, near.as_ref(), dialect)
        };
        let (near, whole) = ((Name::Near, "dns:near:8080"), (Name::NearTrust, "whole"));
        assert_eq!(proven(&[near], Dialect::S3).unwrap(), None);
        assert_eq!(proven(&[near, whole, (Name::NearMin, "3MiB")], Dialect::Oss).unwrap(), Some(3 << 20));
        for (options, dialect, words) in [
            (vec![near, whole], Dialect::S3, "which S3 does not keep"),
            (vec![near, whole, (Name::Verify, "off")], Dialect::Oss, "give only one of them"),
        ] {
            let problem = proven(&options, dialect).unwrap_err().to_string();
            assert!(problem.contains(words), "{options:?}: {problem}");
        }
    }
}
