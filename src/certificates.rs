//! Where the certificates of HTTPS come from: a folder, or a development CA in the state folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use seawall_certs::{Keyring, Resolver, Stamp, development_ca};
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::clock;

const RENEWAL_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How often the folder is looked at …
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// … or, if a look takes long, after so many times as long.
const LOOK_PAUSES: u32 = 50;

/// A keyring that is served, and how to make it anew.
#[derive(Debug)]
pub(crate) struct Certificates {
    source: Source,
    resolver: Arc<Resolver>,
}

#[derive(Debug)]
enum Source {
    Folder(PathBuf),
    /// The state folder, which holds the authority.
    DevelopmentCa(PathBuf),
}

impl Certificates {
    /// Of `folder`; where there is none, of a development CA in `state`.
    /// From then on a folder is followed: what changes there is served as soon as it stays the same from one look to the
    /// next. The development CA's are made anew before they end.
    pub(crate) fn open(folder: Option<&Path>, state: &Path) -> anyhow::Result<Arc<Self>> {
        let source = match folder {
            Some(folder) => Source::Folder(folder.to_owned()),
            None => Source::DevelopmentCa(state.to_owned()),
        };
        let stamp = source.stamp();
        let resolver = Arc::new(Resolver::new(source.keyring()?));
        let certificates = Arc::new(Self { source, resolver });
        match stamp {
            Some(stamp) => tokio::spawn(certificates.clone().follow(stamp)),
            None => tokio::spawn(certificates.clone().renew()),
        };
        Ok(certificates)
    }

    async fn renew(self: Arc<Self>) {
        loop {
            sleep(RENEWAL_INTERVAL).await;
            self.reload_or_keep();
        }
    }

    /// `read`: how the folder looked when it was read last.
    async fn follow(self: Arc<Self>, mut read: Option<Stamp>) {
        let mut seen = read.clone();
        let mut pause = LOOK_INTERVAL;
        loop {
            sleep(pause).await;
            let began = clock::instant();
            let looks = block_in_place(|| self.source.stamp()).flatten();
            pause = LOOK_INTERVAL.max((clock::instant() - began) * LOOK_PAUSES);
            // Who writes a certificate and then its key is between the two for a moment.
            if looks == seen && looks != read {
                read = looks.clone();
                self.reload_or_keep();
            }
            seen = looks;
        }
    }

    /// Serves what is there now; where that is no good, the old ones stay.
    pub(crate) fn reload_or_keep(&self) {
        match block_in_place(|| self.source.keyring()) {
            Ok(keyring) => {
                self.resolver.replace(keyring);
                tracing::info!("certificates read again");
            }
            Err(error) => {
                self.resolver.keep();
                tracing::error!("the certificates are as before: {error:#}");
            }
        }
    }

    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        self.resolver.clone()
    }

    /// What a client has to be told to trust; None where the certificates are real ones.
    pub(crate) fn ca_pem(&self) -> Option<PathBuf> {
        match &self.source {
            Source::Folder(_) => None,
            Source::DevelopmentCa(state) => Some(state.join("ca.pem")),
        }
    }
}

impl Source {
    /// None: there is no folder of somebody else's to follow.
    fn stamp(&self) -> Option<Option<Stamp>> {
        match self {
            Self::Folder(folder) => Some(seawall_certs::stamp(folder)),
            Self::DevelopmentCa(_) => None,
        }
    }

    fn keyring(&self) -> anyhow::Result<Keyring> {
        match self {
            Self::Folder(folder) => {
                let loaded = Keyring::load(folder, clock::now())?;
                for warning in &loaded.warnings {
                    tracing::warn!("{warning}");
                }
                Ok(loaded.keyring)
            }
            Self::DevelopmentCa(state) => Ok(development_ca(state, &[], clock::now())?.keyring),
        }
    }
}
