//! Ground: small checked values, parsed once and trusted afterwards.
