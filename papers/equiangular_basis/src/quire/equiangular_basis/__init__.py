"""x"""
from quire.equiangular_basis.generate import generate_ebv, extend_ebv
