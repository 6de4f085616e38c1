//! Where the certificates of HTTPS come from: a folder, or a development CA in the state folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use seawall_certs::{Keyring, Resolver, development_ca};
use tokio::task::block_in_place;

use crate::clock;

const RENEWAL_INTERVAL: Duration = Duration::from_secs(60 * 60);

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
    /// From then on they are read again now and then, so that one that was replaced, or of the development CA one
    /// that would end, is not served for ever.
    pub(crate) fn open(folder: Option<&Path>, state: &Path) -> anyhow::Result<Arc<Self>> {
        let source = match folder {
            Some(folder) => Source::Folder(folder.to_owned()),
            None => Source::DevelopmentCa(state.to_owned()),
        };
        let resolver = Arc::new(Resolver::new(source.keyring()?));
        let certificates = Arc::new(Self { source, resolver });
        let renewed = certificates.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL_INTERVAL).await;
                renewed.reload_or_keep();
            }
        });
        Ok(certificates)
    }

    /// Serves what is there now; where that is no good, the old ones stay.
    pub(crate) fn reload_or_keep(&self) {
        match block_in_place(|| self.source.keyring()) {
            Ok(keyring) => {
                self.resolver.replace(keyring);
                tracing::debug!("certificates read again");
            }
            Err(error) => tracing::error!("the certificates are as before: {error:#}"),
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
