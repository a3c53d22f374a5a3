//! Names → addresses, for every HTTP request of ours. Whoever may write a URL must not read the node's secrets with it, and an innocent name
//! can be pointed at their address after its URL was looked at.

use crate::model::of_the_node;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;

/// The system's resolver without the addresses of the node.
#[derive(Debug)]
pub(crate) struct Elsewhere;

impl Resolve for Elsewhere {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let elsewhere: Vec<SocketAddr> = found.filter(|address| !of_the_node(address.ip())).collect();
            if elsewhere.is_empty() {
                return Err("the name leads to nothing but the machine itself".into());
            }
            Ok(Box::new(elsewhere.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Elsewhere;
    use reqwest::dns::Resolve as _;

    #[tokio::test]
    async fn a_name_that_leads_to_the_nodes_secrets_leads_nowhere() {
        let resolve = async |name: &str| Elsewhere.resolve(name.parse().unwrap()).await.map(Iterator::count);
        assert!(resolve("localhost").await.unwrap() > 0);
        // Resolvers take these spellings, too.
        for name in ["169.254.169.254", "169.254.1.1"] {
            assert!(resolve(name).await.is_err(), "{name}");
        }
    }
}
