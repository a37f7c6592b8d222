"""The language of PDEs: names, a safe parser, a printer, the analysis into normal form, straight-line programs."""

from pdeml.expr.budget import almost_everywhere, diff, slopes
from pdeml.expr.classify import classify
from pdeml.expr.compiler import compile_program
from pdeml.expr.complex_parts import split_complex
from pdeml.expr.equation import Equation, carry_out, parse_equation, real_parts
from pdeml.expr.evaluate import constant_value, evaluate, with_values
from pdeml.expr.functions import conj, dn, where
from pdeml.expr.jets import jet_of, jet_symbol, normal_symbol, to_jets
from pdeml.expr.linearity import is_zero
from pdeml.expr.names import Names
from pdeml.expr.normal_form import NormalForm, Term, analyse
from pdeml.expr.parser import Source, parse, parse_condition, parse_constant
from pdeml.expr.printer import to_text
from pdeml.expr.program import BINARY, NUMPY, UNARY, Program
from pdeml.expr.symbols import symbols

__all__ = [
    "BINARY",
    "NUMPY",
    "UNARY",
    "Equation",
    "Names",
    "NormalForm",
    "Program",
    "Source",
    "Term",
    "almost_everywhere",
    "analyse",
    "carry_out",
    "classify",
    "compile_program",
    "conj",
    "constant_value",
    "diff",
    "dn",
    "evaluate",
    "is_zero",
    "jet_of",
    "jet_symbol",
    "normal_symbol",
    "parse",
    "parse_condition",
    "parse_constant",
    "parse_equation",
    "real_parts",
    "slopes",
    "split_complex",
    "symbols",
    "to_jets",
    "to_text",
    "where",
    "with_values",
]
