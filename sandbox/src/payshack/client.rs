//! The reseller's clients.

use std::borrow::Cow;

use strum::VariantArray;

/// The reseller of all records.
pub(crate) const RESELLER_ID: &str = "d5aaa8f6-b825-4c62-9a44-f4608e8fc6b7";

#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(crate) enum Client {
    Game,
    Mncl,
    MnclThree,
    /// Its name has no project in the documents.
    Unmapped,
    Indigate,
}

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Game => "91G_TECH_PVT_LTD",
            Self::Mncl => "MNCL_M5_Pvt_Ltd",
            Self::MnclThree => "Mn CL THREE_PVT_LTD",
            Self::Unmapped => "Example_Store_PVT_LTD",
            Self::Indigate => "IG Indigate P_Out",
        }
    }

    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Game => "5b12c121-06e7-4b53-a8fa-c5d5b56e33ec",
            Self::Mncl => "0d6e2c0a-53a1-4f3b-8a55-6c1f0f7a2b11",
            Self::MnclThree => "7f3c9d52-1b8e-4a40-9e0c-3d2a5b6c7d22",
            Self::Unmapped => "a4b8c1d6-2e7f-4c93-b5d0-8f1e2a3b4c33",
            Self::Indigate => "c9e0f1a2-3b4c-4d5e-8f60-718293a4b544",
        }
    }
}

/// The project of a client; an unmapped name is its own project.
pub(crate) fn project_of(client_name: &str) -> Cow<'static, str> {
    match client_name {
        "91G_TECH_PVT_LTD" => "91game".into(),
        "IG Indigate P_Out" => "indigate_payout".into(),
        "MNCL_M5_Pvt_Ltd" => "mncl_m5".into(),
        "Mn CL THREE_PVT_LTD" => "mncl_three".into(),
        other => other.to_owned().into(),
    }
}
