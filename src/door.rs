//! Whom a control plane lets in, as its configuration says: tokens, certificates, or, where it is told so, everyone on
//! this machine.

use std::path::PathBuf;
use std::sync::Arc;

use seawall_certs::Peers;
use seawall_config::roles::ControlPlaneConfig;
use seawall_config::tokens;
use seawall_control_plane::api::{Access, Tokens};

use crate::exit::{Exit, Failure};
use crate::peers;
use crate::sites_file;

pub(crate) struct Door {
    pub(crate) access: Access,
    /// TLS is spoken, and this is shown.
    pub(crate) peers: Option<Arc<Peers>>,
    tokens_file: Option<PathBuf>,
}

impl Door {
    /// `open`: everyone on this machine, on a loopback address.
    pub(crate) fn open(config: &ControlPlaneConfig, open: bool) -> Result<Self, Failure> {
        let is_guarded = config.tokens_file.is_some() || config.peer_certs.is_some();
        let is_open = open && config.listen.ip().is_loopback();
        if !is_guarded && !is_open {
            let why = "control_plane.tokens_file: is missing, and so is peer_certs: nobody could be let in; make a token \
                       with `seawall token` and name its file";
            return Err(Exit::BadConfiguration.because(why));
        }
        let peers = config.peer_certs.as_deref().map(peers::open).transpose()?;
        let access = match (&config.tokens_file, is_guarded) {
            (_, false) => Access::Open,
            (None, true) => Access::Guarded(Tokens::default()),
            (Some(file), true) => Access::Guarded(Tokens::new(sites_file::read_and_parse(
                file,
                tokens::parse,
            )?)),
        };
        Ok(Self {
            access,
            peers,
            tokens_file: config.tokens_file.clone(),
        })
    }

    /// Reads the files again; one that is not good leaves what was read before.
    pub(crate) fn reload(&self) {
        if let Some(certs) = &self.peers {
            peers::reload_or_keep(certs);
        }
        if let (Access::Guarded(tokens), Some(file)) = (&self.access, &self.tokens_file) {
            match sites_file::read_and_parse(file, tokens::parse) {
                Ok(entries) => {
                    tracing::info!(count = entries.len(), "the tokens were read again");
                    tokens.replace(entries);
                }
                Err(failure) => {
                    tracing::error!(%failure, "the tokens are not read again; those read before stay");
                }
            }
        }
    }
}
