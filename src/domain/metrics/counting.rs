//! Whether a payment that both sources report counts once or twice.

use crate::domain::string_enum::string_enum;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum Counting {
        /// Every stored record counts: a payment that both sources report counts twice.
        #[default]
        Records = "records",
        /// Every payment counts once: the pay-ins that `PayShack` reports for reconciled projects are left out.
        Payments = "payments",
    }
}
