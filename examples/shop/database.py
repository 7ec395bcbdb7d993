"""The shop's SQLite database: products and orders. Nothing here knows of telemetry."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CATEGORIES = ("books", "garden", "kitchen", "music", "toys")
PRODUCTS = 2_000
MAX_ORDERS = 50_000
"""Older orders are deleted, so that a demo that runs for weeks stays small."""

_FULL_SHELF = 500
_SCHEMA = """
CREATE TABLE products (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, price_cents INTEGER NOT NULL,
    stock INTEGER NOT NULL
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, placed REAL NOT NULL, product INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL, total_cents INTEGER NOT NULL, payment TEXT NOT NULL
);
"""
_ADJECTIVES = ("blue", "folding", "heavy", "little", "old", "quiet", "round", "striped", "warm", "wooden")
_NOUNS = ("basket", "bell", "bowl", "box", "chair", "drum", "kite", "lamp", "notebook", "spoon")


class Product(NamedTuple):
    """One row of ``products``."""

    id: int
    name: str
    category: str
    price_cents: int
    stock: int


class Order(NamedTuple):
    """One row of ``orders``."""

    id: int
    placed: float
    product: int
    quantity: int
    total_cents: int
    payment: str


class OutOfStockError(Exception):
    """There are fewer left than were ordered."""


class Database:
    """The shop's tables; every method opens a connection of its own and may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connection() as db:
            db.execute("PRAGMA journal_mode = WAL")
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'products'").fetchone():
                db.executescript(_SCHEMA)
                db.executemany("INSERT INTO products VALUES (?, ?, ?, ?, ?)", _catalogue())

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=5)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def search(self, words: str, limit: int = 20) -> list[Product]:
        """Products whose name has the words, cheapest first."""
        with self._connection() as db:
            query = "SELECT * FROM products WHERE name LIKE ? ORDER BY price_cents LIMIT ?"
            return [Product(*row) for row in db.execute(query, (f"%{words}%", limit))]

    def product(self, number: int) -> Product | None:
        """One product, or None."""
        with self._connection() as db:
            row = db.execute("SELECT * FROM products WHERE id = ?", (number,)).fetchone()
            return Product(*row) if row else None

    def place(self, product: Product, quantity: int, payment: str) -> Order:
        """Take from the shelf and remember the order.

        Raises:
            OutOfStockError: the shelf does not have that many.
        """
        with self._connection() as db:
            taken = db.execute(
                "UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?", (quantity, product.id, quantity)
            )
            if not taken.rowcount:
                db.execute("UPDATE products SET stock = ? WHERE id = ?", (_FULL_SHELF, product.id))
                db.commit()  # the delivery for the next visitor outlives this one's error
                raise OutOfStockError(product.name)
            row = (time.time(), product.id, quantity, quantity * product.price_cents, payment)
            number = db.execute(
                "INSERT INTO orders (placed, product, quantity, total_cents, payment) VALUES (?, ?, ?, ?, ?)", row
            ).lastrowid
            db.execute("DELETE FROM orders WHERE id <= (SELECT max(id) FROM orders) - ?", (MAX_ORDERS,))
            return Order(number or 0, *row)

    def order(self, number: int) -> Order | None:
        """One order, or None."""
        with self._connection() as db:
            row = db.execute("SELECT * FROM orders WHERE id = ?", (number,)).fetchone()
            return Order(*row) if row else None

    def stock(self) -> dict[str, int]:
        """How many things are on the shelves, by category."""
        with self._connection() as db:
            return dict(db.execute("SELECT category, sum(stock) FROM products GROUP BY category"))

    def sales_report(self) -> list[tuple[str, int, int]]:
        """Category, orders and cents taken. Compares every name with every other on the way: it is meant to be slow."""
        with self._connection() as db:
            db.execute(
                "SELECT count(*) FROM products a JOIN products b ON a.name LIKE b.name || '%' WHERE a.id % 7 = 0"
            ).fetchone()
            return list(
                db.execute(
                    "SELECT category, count(*), sum(total_cents) FROM orders JOIN products ON products.id = product"
                    " GROUP BY category ORDER BY category"
                )
            )


def _catalogue() -> Iterator[Product]:
    dice = random.Random(7)
    for number in range(1, PRODUCTS + 1):
        name = f"{dice.choice(_ADJECTIVES)} {dice.choice(_NOUNS)} no. {number}"
        yield Product(number, name, dice.choice(CATEGORIES), dice.randint(99, 9_999), dice.randint(20, _FULL_SHELF))
