"""Every lending protocol as the laws of liquidation see it, by its folder."""

from tests.protocols.lending_books.aave_v2 import AaveV2Book
from tests.protocols.lending_books.aave_v3 import AaveV3BeforeDust, AaveV3Book
from tests.protocols.lending_books.aave_v4 import AaveV4Book
from tests.protocols.lending_books.book import Book
from tests.protocols.lending_books.compound_v2 import CompoundV2Book
from tests.protocols.lending_books.compound_v3 import CompoundV3Book
from tests.protocols.lending_books.morpho_blue import MorphoBlueBook
from tests.protocols.lending_books.venus_core import VenusBook

__all__ = ["BOOKS", "FIXED_SPREAD", "WITHOUT_DUST_RULE", "Book"]

BOOKS: dict[str, type[Book]] = {
    "aave_v2": AaveV2Book,
    "aave_v3": AaveV3Book,
    "aave_v4": AaveV4Book,
    "compound_v2": CompoundV2Book,
    "compound_v3": CompoundV3Book,
    "morpho_blue": MorphoBlueBook,
    "venus_core": VenusBook,
}
FIXED_SPREAD = {name: book for name, book in BOOKS.items() if book.fixed_spread}
WITHOUT_DUST_RULE = FIXED_SPREAD | {"aave_v3": AaveV3BeforeDust}
