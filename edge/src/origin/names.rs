//! The addresses of a server's name: looked up again every so often, and the last good answer kept.
//!
//! The system's resolver does not say how long an answer holds, so the configuration says it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{CONNECT_TIMEOUT, Failure, millis};
use crate::clock;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 64;
/// Lookups at once, of all names: each takes a thread until the resolver has answered.
static LOOKUPS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);
const LOOKUPS_MAX: usize = 32;
/// A name that was not found is looked up again only after so long.
const FAILED_PAUSE_MS: u64 = 1_000;
/// How much sooner or later than asked a name is looked up again, so that edges do not do it all at once.
const JITTER_PERCENT: u64 = 10;

/// One name, and what is known of it.
#[derive(Debug)]
pub struct Names {
    host: String,
    port: u16,
    known: Mutex<Known>,
    /// Who looks it up, so that others wait for that.
    looking: tokio::sync::Mutex<()>,
}

/// Pure: what to do with what is known.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    good: Arc<[SocketAddr]>,
    /// Not before; and not while somebody looks.
    due_ms: u64,
    is_looked_up: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Use {
    These(Arc<[SocketAddr]>),
    /// And look again meanwhile.
    Renewing(Arc<[SocketAddr]>),
    LookUp,
    /// It was not found a moment ago.
    Nothing,
}

impl Names {
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            known: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        }
    }

    /// Never empty.
    pub async fn addresses(
        self: &Arc<Self>,
        refresh: Duration,
    ) -> Result<Arc<[SocketAddr]>, Failure> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok([SocketAddr::new(ip, self.port)].into());
        }
        let wanted = self.known().wanted(clock::boottime_ms());
        match wanted {
            Use::These(good) => Ok(good),
            Use::Nothing => Err(Failure::NotResolved),
            Use::Renewing(good) => {
                let names = self.clone();
                tokio::spawn(async move { names.look_up(refresh).await });
                Ok(good)
            }
            Use::LookUp => {
                let _one = self.looking.lock().await;
                // Another may have looked meanwhile.
                let wanted = self.known().wanted(clock::boottime_ms());
                match wanted {
                    Use::These(good) | Use::Renewing(good) => Ok(good),
                    Use::Nothing => Err(Failure::NotResolved),
                    Use::LookUp => self.look_up(refresh).await.ok_or(Failure::NotResolved),
                }
            }
        }
    }

    async fn look_up(&self, refresh: Duration) -> Option<Arc<[SocketAddr]>> {
        let found = async {
            let _permit = LOOKUPS.acquire().await.ok()?;
            let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
            Some(found.ok()?.take(ADDRESSES_MAX).collect())
        };
        let found = tokio::time::timeout(CONNECT_TIMEOUT, found).await;
        let found: Vec<SocketAddr> = found.ok().flatten().unwrap_or_default();
        let jitter = fastrand::u64(100 - JITTER_PERCENT..=100 + JITTER_PERCENT);
        let refresh_ms = millis(refresh) * jitter / 100;
        self.known().found(found, refresh_ms, clock::boottime_ms())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // std Mutex: nothing awaits while it is held.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn wanted(&mut self, now_ms: u64) -> Use {
        let is_due = now_ms >= self.due_ms;
        match (self.good.is_empty(), is_due) {
            (true, true) => Use::LookUp,
            (true, false) => Use::Nothing,
            (false, true) if !std::mem::replace(&mut self.is_looked_up, true) => {
                Use::Renewing(self.good.clone())
            }
            (false, _) => Use::These(self.good.clone()),
        }
    }

    /// Nothing found changes nothing but when it is tried again.
    fn found(
        &mut self,
        mut found: Vec<SocketAddr>,
        refresh_ms: u64,
        now_ms: u64,
    ) -> Option<Arc<[SocketAddr]>> {
        self.is_looked_up = false;
        if found.is_empty() {
            self.due_ms = now_ms.saturating_add(refresh_ms.min(FAILED_PAUSE_MS));
        } else {
            found.sort_by_key(SocketAddr::is_ipv6);
            self.good = found.into();
            self.due_ms = now_ms.saturating_add(refresh_ms);
        }
        Some(self.good.clone()).filter(|good| !good.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_again_by_one_and_the_last_good_answer_is_kept() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (old, new) = (address("192.0.2.1:80"), address("192.0.2.2:80"));
        let mut known = Known::default();
        assert_eq!(known.wanted(0), Use::LookUp);
        assert_eq!(known.found(vec![], 30_000, 0), None);
        assert_eq!(known.wanted(999), Use::Nothing);
        assert_eq!(known.wanted(1_000), Use::LookUp);
        known.found(vec![old], 30_000, 1_000);
        assert_eq!(known.wanted(30_999), Use::These([old].into()));
        assert_eq!(known.wanted(31_000), Use::Renewing([old].into()));
        // Somebody looks already.
        assert_eq!(known.wanted(31_000), Use::These([old].into()));
        assert_eq!(known.found(vec![], 30_000, 31_500), Some([old].into()));
        assert_eq!(known.wanted(32_499), Use::These([old].into()));
        assert_eq!(known.wanted(32_500), Use::Renewing([old].into()));
        known.found(vec![address("[2001:db8::1]:80"), new], 30_000, 32_600);
        assert_eq!(
            known.wanted(32_600),
            Use::These([new, address("[2001:db8::1]:80")].into())
        );
    }

    #[tokio::test]
    async fn an_address_is_never_looked_up_and_a_name_that_is_nowhere_is_not_found() {
        let addresses = async |host| {
            let names = Arc::new(Names::new(host, 80));
            names.addresses(Duration::from_secs(30)).await
        };
        let found = addresses("::1").await.unwrap();
        assert_eq!(*found, ["[::1]:80".parse().unwrap()]);
        let found = addresses("nowhere.invalid").await;
        assert_eq!(found, Err(Failure::NotResolved));
    }
}
