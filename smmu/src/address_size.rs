//! Widths of addresses, as identification registers of SMMUs have them (Arm IHI 0062, SMMU_IDR2.IAS; Arm IHI 0070, SMMU_IDR5.OAS).

/// Bits that a field stands for. More than 48 are reached only with granules and formats that the CPU's tables do not use.
pub(crate) const fn bits(field: u32) -> u8 {
    match field {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 48,
    }
}
