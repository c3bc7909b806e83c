//! The locality of pods: whether they run on nodes that hold their volumes' data, and why not.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, no async code. What a storage system answers is read by
//! its adapter. Whether the scheduler of a pod is the right one is decided by the engine and explained by the insight: this crate
//! only uses their results.
//!
//! ```text
//! answers of the storage -> adapter -> Layout     nodes with a replica, by volume
//!                                         |
//! live pod -> claims, PersistentVolumes -> PlacedPod -> Locality -> Shares   how many, by namespace, workload, driver and node
//!                                                    -> WhyNot            why a pod is not local
//!                                                    -> Gain              how many would be, if they were evicted
//! ```

mod adapter;
mod custom_resource;
mod exemption;
mod extender;
mod gain;
mod gap;
mod layout;
mod locality;
mod node;
mod node_affinity;
mod node_selector;
mod open_storage;
mod placed_pod;
mod pod_demand;
mod quantity;
mod replicas;
mod shares;
mod storage_driver;
mod volume;
mod why_not;

pub use adapter::{Adapter, Service, TokenRef, built_in};
pub use custom_resource::{BUILT_IN, Condition, CustomResource, Test};
pub use exemption::Exemption;
pub use extender::{FilterResult, NodeScores, extender_request};
pub use gain::{EvictionCandidate, Gain, GainCount};
pub use gap::Gap;
pub use layout::Layout;
pub use locality::Locality;
pub use node::{Node, Nodes, Taint, Unavailable};
pub use node_affinity::layout_of_affinity;
pub use node_selector::NodeSelector;
pub use open_storage::{NODES_PATH, StorageNodes, VOLUMES_PATH};
pub use placed_pod::{PlacedPod, PodVolume};
pub use pod_demand::PodDemand;
pub use quantity::{Resources, parse_quantity};
pub use replicas::{Replica, Replicas};
pub use shares::{Counts, PodKey, Shares, Uncounted, WorkloadKey};
pub use storage_driver::{StorageDriver, StorageDrivers};
pub use volume::Volume;
pub use why_not::{Circumstances, WhyNot};
