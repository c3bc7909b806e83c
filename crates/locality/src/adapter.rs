//! Adapters: where the layout of a driver's volumes comes from.

use std::fmt;

use colocate_engine::{PORTWORX_IN_TREE, is_same_driver};

use super::custom_resource::{BUILT_IN, CustomResource};

/// A source of the layout of a driver's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// The REST gateway of the `OpenStorage` SDK.
    OpenStorage {
        /// The Service of the gateway.
        service: Service,
        /// The bearer token; `None` if the gateway requires none.
        token: Option<TokenRef>,
    },
    /// The extender of the driver's scheduler.
    Extender(Service),
    /// Custom resources.
    CustomResource(Box<CustomResource>),
    /// The node affinity of each `PersistentVolume`.
    NodeAffinity,
}

/// A Service in the cluster, called through the API server's proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The namespaces in which it may be, in this order.
    pub namespaces: Vec<Box<str>>,
    /// The name.
    pub name: Box<str>,
    /// The port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// A bearer token in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRef {
    /// The namespace of the Secret.
    pub namespace: Box<str>,
    /// The name of the Secret.
    pub name: Box<str>,
    /// The key of its data.
    pub key: Box<str>,
}

/// The source for people.
impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenStorage { service, .. } => write!(f, "Service {}", service.name),
            Self::Extender(service) => write!(f, "extender {}", service.name),
            Self::CustomResource(resource) => resource.fmt(f),
            Self::NodeAffinity => f.write_str("node affinity"),
        }
    }
}

/// The namespaces in which Portworx is installed: its own, or `kube-system`.
const PORTWORX_NAMESPACES: [&str; 2] = ["portworx", "kube-system"];

impl Service {
    /// The gateway of Portworx: the port `px-rest-gateway` of the Service `portworx-api`.
    pub fn portworx_api() -> Self {
        Self::of_portworx("portworx-api", 9021)
    }

    /// The extender of Stork (`pkg/extender/extender.go` listens on 8099).
    pub fn stork() -> Self {
        Self::of_portworx("stork-service", 8099)
    }

    fn of_portworx(name: &str, port: u16) -> Self {
        Self { namespaces: PORTWORX_NAMESPACES.map(Into::into).to_vec(), name: name.into(), port, tls: false }
    }

    /// The name by which the API server's proxy, and a Role that grants its use, know it: `https:portworx-api:9021`.
    pub fn proxy_name(&self) -> String {
        let Self { name, port, tls, .. } = self;
        let scheme = if *tls { "https:" } else { "" };
        format!("{scheme}{name}:{port}")
    }

    /// The path of `path` through the API server's proxy, in one of the namespaces.
    pub fn proxy_path(&self, namespace: &str, path: &str) -> String {
        format!("/api/v1/namespaces/{namespace}/services/{}/proxy{path}", self.proxy_name())
    }
}

/// Returns the adapters of a driver with these provisioners that need no configuration; empty if none is built in. The first that
/// answers is used.
pub fn built_in<P: AsRef<str>>(provisioners: &[P]) -> Vec<Adapter> {
    let has = |name: &str| provisioners.iter().any(|own| own.as_ref() == name);
    if provisioners.iter().any(|own| is_same_driver(own.as_ref(), PORTWORX_IN_TREE)) {
        let gateway = Adapter::OpenStorage { service: Service::portworx_api(), token: None };
        return vec![gateway, Adapter::Extender(Service::stork())];
    }
    let resources = BUILT_IN.iter().filter(|(_, provisioner)| has(provisioner));
    resources.filter_map(|(name, _)| Some(Adapter::CustomResource(Box::new(name.parse().ok()?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_provisioners_have_adapters() {
        let names = |provisioners: &[&str]| built_in(provisioners).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&["pxd.portworx.com"]), ["Service portworx-api", "extender stork-service"]);
        assert_eq!(names(&["other", "linstor.csi.linbit.com"]), ["resources.internal.linstor.linbit.com"]);
        assert_eq!(names(&["driver.longhorn.io"]), ["replicas.longhorn.io"]);
        assert_eq!(names(&["carina.storage.io"]), [""; 0]);
    }

    #[test]
    fn a_service_is_called_through_the_proxy() {
        let service = Service::portworx_api();
        let path = "/api/v1/namespaces/portworx/services/portworx-api:9021/proxy/v1/nodes";
        assert_eq!(service.proxy_path("portworx", "/v1/nodes"), path);
        let service = Service { tls: true, ..service };
        assert!(service.proxy_path("a", "/v1").ends_with("/services/https:portworx-api:9021/proxy/v1"));
    }
}
