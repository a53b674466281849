//! smmu
