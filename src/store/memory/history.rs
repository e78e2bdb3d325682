//! The listing of the versions of a bucket in memory.

use std::ops::Bound;

use super::{Content, State, Version, common_prefix, entry};
use crate::store::{ListEntry, ListRequest, NULL_VERSION, VersionEntry, VersionPage, VersionPlace, VersionsRequest};

impl Version {
    pub(super) fn id(&self) -> &str {
        self.meta.version.as_deref().unwrap_or(NULL_VERSION)
    }
}

impl State {
    pub(super) fn versions(&self, request: &VersionsRequest) -> VersionPage {
        let limit = if request.max_keys == 0 { 999 } else { request.max_keys.min(999) } as usize;
        let collapsing = ListRequest {
            prefix: request.prefix.clone(),
            delimiter: request.delimiter.clone(),
            ..ListRequest::default()
        };
        let (mut page, mut last) = (VersionPage::default(), None);
        for (key, version, is_latest) in self.history(request) {
            let common = common_prefix(key, &collapsing).filter(|common| key.starts_with(common));
            let passed = request.after.as_ref().is_some_and(|after| common == Some(&after.key));
            if passed || (common.is_some() && page.prefixes.last().map(String::as_str) == common) {
                continue;
            }
            if page.entries.len() + page.prefixes.len() == limit {
                page.next = last;
                break;
            }
            let id = version.id().to_owned();
            match common {
                Some(common) => {
                    page.prefixes.push(common.to_owned());
                    last = Some(VersionPlace { key: common.to_owned(), version: None });
                }
                None => {
                    let entry = ListEntry { version: Some(id.clone()), ..entry(key, version) };
                    let is_delete_marker = matches!(version.content, Content::Removed);
                    page.entries.push(VersionEntry { entry, is_latest, is_delete_marker });
                    last = Some(VersionPlace { key: key.to_owned(), version: Some(id) });
                }
            }
        }
        page
    }

    /// Every version from the place on at which a page begins, and whether it is the newest of its key.
    fn history(&self, request: &VersionsRequest) -> impl Iterator<Item = (&str, &Version, bool)> {
        let (after, version) =
            request.after.as_ref().map_or((None, None), |place| (Some(place.key.as_str()), place.version.as_deref()));
        let start = match after {
            Some(key) if key >= request.prefix.as_str() && version.is_some() => Bound::Included(key),
            Some(key) if key >= request.prefix.as_str() => Bound::Excluded(key),
            _ => Bound::Included(request.prefix.as_str()),
        };
        let keys = self.objects.range::<str, _>((start, Bound::Unbounded));
        keys.take_while(|(key, _)| key.starts_with(&request.prefix)).flat_map(move |(key, versions)| {
            let passed = match version {
                Some(id) if Some(key.as_str()) == after => {
                    versions.iter().rev().position(|version| version.id() == id).map_or(versions.len(), |at| at + 1)
                }
                _ => 0,
            };
            let newest = versions.iter().rev().enumerate().skip(passed);
            newest.map(move |(age, version)| (key.as_str(), version, age == 0))
        })
    }
}
