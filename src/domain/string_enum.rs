//! Enums whose variants have a name in the API, in the database and in JSON.

/// Declares an enum with `ALL` (in order of declaration), `as_str`, `from_name`, and serde and a JSON schema by the same names.
///
/// The names are written out beside the variants, because they are stored: with names derived from the identifiers
/// (serde's `rename_all`, `strum`), renaming a variant would change the API and make stored rows unreadable.
macro_rules! string_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $type:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $name:literal),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis enum $type {
            $($(#[$variant_meta])* $variant),+
        }

        impl $type {
            $vis const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }

            #[must_use]
            $vis fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::from_name(&name).ok_or_else(|| serde::de::Error::unknown_variant(&name, &[$($name),+]))
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($name),+]})
            }
        }
    };
}

pub(crate) use string_enum;

#[cfg(test)]
mod tests {
    string_enum! {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Shape {
            Circle = "circle",
            RoundedBox = "rounded-box",
        }
    }

    #[test]
    fn the_written_names_are_used_everywhere() {
        for shape in Shape::ALL {
            assert_eq!(Shape::from_name(shape.as_str()), Some(shape));
            let json = serde_json::to_string(&shape).expect("JSON");
            assert_eq!(json, format!("\"{}\"", shape.as_str()));
            assert_eq!(serde_json::from_str::<Shape>(&json).expect(&json), shape);
        }
        assert_eq!((Shape::RoundedBox.as_str(), Shape::from_name("RoundedBox")), ("rounded-box", None));
        let error = serde_json::from_str::<Shape>("\"star\"").expect_err("no shape").to_string();
        assert!(error.starts_with("unknown variant `star`, expected `circle` or `rounded-box`"), "{error}");
    }
}
