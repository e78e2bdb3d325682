//! From the versions of a bucket to what stood at one time: at most one entry of each key. Pure.
//!
//! A listing of versions tells of each key the newest version first, delete markers among the others. So the first one
//! that is not younger than the time asked for settles the key: the object stood there as that version, or, where it is
//! a delete marker, did not exist. What comes after it in the same key is older and says nothing more.
//!
//! A page may end within a key. Where the key is settled by then, the next page begins behind all its versions, which
//! are never asked for; else it goes on behind the version shown last. So the only state between two pages is the
//! [`Place`] at which the next one begins.

use crate::base::{Timestamp, after, behind};
use crate::store::{
    Error, ErrorKind, ListEntry, ListPage, ListRequest, Result, VersionEntry, VersionPage, VersionPlace,
};

/// Where a page of the folded listing begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Beginning,
    /// Behind every version of this key, or behind every key of this common prefix.
    After(String),
    /// Behind this version of a key, of which it is known by then or not how it stood.
    Within {
        key: String,
        version: String,
        is_settled: bool,
    },
}

impl Place {
    /// The place at which the answer to a request begins.
    pub(super) fn of(request: &ListRequest) -> Result<Place> {
        match (&request.continuation, &request.start_after) {
            (Some(token), _) => Place::parse(token),
            (None, Some(key)) if !key.is_empty() => Ok(Place::After(key.clone())),
            _ => Ok(Place::Beginning),
        }
    }

    /// The same for the server.
    pub(super) fn marker(&self) -> Option<VersionPlace> {
        match self {
            Place::Beginning => None,
            Place::After(key) => Some(VersionPlace { key: key.clone(), version: None }),
            Place::Within { key, version, .. } => {
                Some(VersionPlace { key: key.clone(), version: Some(version.clone()) })
            }
        }
    }

    fn parse(token: &str) -> Result<Place> {
        let fail = || Error::new(ErrorKind::Invalid, "the continuation token is not from this listing");
        let (kind, rest) = token.split_at_checked(1).ok_or_else(fail)?;
        if kind == "a" {
            return Ok(Place::After(rest.to_owned()));
        }
        let (version, key) = rest.split_once('\0').ok_or_else(fail)?;
        let is_settled = match kind {
            "s" => true,
            "w" => false,
            _ => return Err(fail()),
        };
        Ok(Place::Within { key: key.to_owned(), version: version.to_owned(), is_settled })
    }

    fn token(&self) -> String {
        match self {
            Place::Beginning => String::new(),
            Place::After(key) => format!("a{key}"),
            Place::Within { key, version, is_settled: true } => format!("s{version}\0{key}"),
            Place::Within { key, version, is_settled: false } => format!("w{version}\0{key}"),
        }
    }

    /// Whether a name belongs to pages before this place.
    fn is_behind(&self, name: &str) -> bool {
        matches!(self, Place::After(key) if name <= key.as_str())
    }
}

/// What the versions of one key have told so far.
#[derive(Debug)]
pub(super) struct Fold {
    at: Timestamp,
    key: Option<String>,
    is_settled: bool,
}

impl Fold {
    /// What stood at a time, from a place on.
    pub(super) fn new(at: Timestamp, place: &Place) -> Self {
        match place {
            Place::Within { key, is_settled, .. } => Fold { at, key: Some(key.clone()), is_settled: *is_settled },
            Place::Beginning | Place::After(_) => Fold { at, key: None, is_settled: false },
        }
    }

    /// Whether it is known how the key of the last version stood.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Takes the next version; gives the entry of its key if this one settles that there is one.
    ///
    /// Fails where the newest version of a key comes after another one of it: then the server lists the oldest first,
    /// and the first that is old enough would be the wrong one.
    pub(super) fn take(&mut self, version: VersionEntry) -> Result<Option<ListEntry>> {
        let VersionEntry { entry, is_latest, is_delete_marker } = version;
        let is_same = self.key.as_deref() == Some(entry.key.as_str());
        if is_same && is_latest {
            let message = "the server lists the versions of a key with the oldest first: what stood at a time cannot \
                           be told from that";
            return Err(Error::new(ErrorKind::Unsupported, message).with_key(entry.key));
        }
        if !is_same {
            self.key = Some(entry.key.clone());
            self.is_settled = false;
        }
        let is_younger = entry.last_modified.is_some_and(|time| time.seconds > self.at.seconds);
        if self.is_settled || is_younger {
            return Ok(None);
        }
        self.is_settled = true;
        Ok((!is_delete_marker).then_some(entry))
    }
}

/// One page of what stood at a time, from one page of versions; of at most so many names.
pub(super) fn page(at: Timestamp, place: &Place, page: VersionPage, most: u32) -> Result<ListPage> {
    let mut fold = Fold::new(at, place);
    let lines = page.entries.len() as u64;
    let mut folded = ListPage { undecodable: page.undecodable, prefixes: page.prefixes, ..ListPage::default() };
    // There are servers that begin with the versions of the key itself.
    for version in page.entries.into_iter().filter(|version| !place.is_behind(&version.entry.key)) {
        folded.entries.extend(fold.take(version)?);
    }
    folded.prefixes.retain(|prefix| !place.is_behind(prefix));
    let next = page.next.map(|marker| following(&fold, place, marker));
    if let Some(next) = &next {
        folded.reached = Some(reached(next, &folded));
        folded.next = Some(next.token());
    }
    cut(&mut folded, most as usize);
    folded.passed_over = lines.saturating_sub(folded.entries.len() as u64);
    Ok(folded)
}

/// Where the next page begins, after one that ends with this marker.
fn following(fold: &Fold, place: &Place, marker: VersionPlace) -> Place {
    let VersionPlace { key, version } = marker;
    let is_last = fold.key.as_ref() == Some(&key);
    // A server that shows the key where the page begins behind it would do so again.
    let is_given_again = match place {
        Place::After(passed) | Place::Within { key: passed, is_settled: true, .. } => *passed == key,
        _ => false,
    };
    match version {
        Some(version) if is_given_again => Place::Within { key, version, is_settled: true },
        Some(version) if !(is_last && fold.is_settled) => Place::Within { key, version, is_settled: false },
        _ => Place::After(key),
    }
}

/// Up to where a page that is followed by another one settles names.
fn reached(next: &Place, page: &ListPage) -> String {
    match next {
        Place::Beginning => String::new(),
        Place::After(key) if page.prefixes.last() == Some(key) => behind(key).unwrap_or_default(),
        Place::After(key) | Place::Within { key, is_settled: true, .. } => after(key),
        Place::Within { key, is_settled: false, .. } => key.clone(),
    }
}

/// Leaves so many names, the first ones.
fn cut(page: &mut ListPage, most: usize) {
    if most == 0 || page.entries.len() + page.prefixes.len() <= most {
        return;
    }
    let mut names: Vec<&str> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    names.extend(page.prefixes.iter().map(String::as_str));
    names.sort_unstable();
    let last = names[most - 1].to_owned();
    page.entries.truncate(page.entries.partition_point(|entry| entry.key <= last));
    page.prefixes.truncate(page.prefixes.partition_point(|prefix| *prefix <= last));
    let next = Place::After(last);
    page.reached = Some(reached(&next, page));
    page.next = Some(next.token());
}
