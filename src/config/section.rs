//! Sections of the file: mappings in which every key has a default.

/// Checks that involve more than one key of a section.
pub(super) trait Check {
    /// Checks the keys against each other.
    ///
    /// # Errors
    /// A message that says what is wrong and how to fix it.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Declares a section: each key with its type and its default. Without an explicit default, that of the type applies. A
/// default can depend on the keys above it.
///
/// A key without a value also has its default. Such a key remains when all lines below it are commented out.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$key_meta:meta])* $key_visibility:vis $key:ident: $type:ty $(= $default:expr)?,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        $visibility struct $name {
            $($(#[$key_meta])* $key_visibility $key: $type,)+
        }

        const _: () = {
            #[derive(Default, serde::Deserialize)]
            #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
            struct RawSection {
                $($key: Option<$type>,)+
            }

            impl From<RawSection> for $name {
                fn from(raw: RawSection) -> Self {
                    $(let $key = raw.$key.unwrap_or_else(|| $crate::config::section::section!(@default $($default)?));)+
                    Self { $($key,)+ }
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    RawSection::default().into()
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let section: Self = RawSection::deserialize(deserializer)?.into();
                    $crate::config::section::Check::check(&section).map_err(serde::de::Error::custom)?;
                    Ok(section)
                }
            }
        };
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}

pub(super) use section;
