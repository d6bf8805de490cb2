"""The key layout of the products table: the items of a product. Only the store and the catalogue use it.

    PRODUCT#<id>     PRODUCT          the product with its pictures. While it is active, gsi1 to gsi3 hold it under
                                      CATALOGUE, by name, by price and by creation
    PRODUCT#<id>     CATEGORY         while it is active and has a category: the same index keys under
                                      CATEGORY#<category>, so that a category is listed without reading the others
    SKU#<sku>        SKU              the id of the active product with this sku; makes it unique
    WORD#<beginning> <term>#<name>#<id>   the search index: one entry per term of name and sku, at most 40 (words.py).
                                      The partition is the term's first two letters, or its first character in a
                                      script of signs, so that one query finds all terms with a prefix
    FACETS           CATEGORY#<category>#<0-7>  how many active products the category has: the sum of eight counts, so
                                      that imports of one category at once seldom wait for each other
    IMPORT#<id>      IMPORT           the report of an import
    IMPORT#<id>      ROWS#<number>    its refused rows, some of them
    IMPORTS          <time>#<id>      an import in the list: begun or done, by whom, its counts. Admins alone write here

CATALOGUE is one partition of each index. That bounds the shop at about 1,000 changed products a second, and some 2,000
pages of 20 products a second (3,000 read units, 1.5 for a page); the imports, one after the other, write fewer than a
hundred products a second. A category's listing, and the search, do not read it. A shop that outgrows it numbers the
partition by a hash of the id and merges the pages: their order is total, for every sort key ends in the id.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from mercato.clock import epoch, rfc3339
from mercato.store.attributes import Item
from products.domain import Product
from products.images import Image, Images, Size, State
from products.words import MAX_LENGTH, RULES, fold, index_terms, index_words, is_sign_script

CATALOGUE = "CATALOGUE"
BY_NAME, BY_PRICE, BY_CREATION = "gsi1", "gsi2", "gsi3"
_NAME_LENGTH = 100
_COUNTERS = 8
_CATEGORY_BYTES = 900  # a sort key has at most 1024


def product_key(product_id: str) -> tuple[str, str]:
    return f"PRODUCT#{product_id}", "PRODUCT"


def sku_key(sku: str) -> tuple[str, str]:
    return f"SKU#{sku}", "SKU"


def import_key(import_id: str) -> tuple[str, str]:
    return f"IMPORT#{import_id}", "IMPORT"


def import_list_key(import_id: str, begun_at: datetime) -> tuple[str, str]:
    return "IMPORTS", f"{rfc3339(begun_at)}#{import_id}"


def category_key(category: str, rules: int = RULES) -> str:
    """The category in keys. Hashed if it is too long for a sort key: folding may lengthen a text eighteenfold."""
    folded = fold(category, rules)
    if len(folded.encode()) <= _CATEGORY_BYTES:
        return folded
    return f"sha256:{hashlib.sha256(folded.encode()).hexdigest()}"


def count_key(category: str, counter: int, rules: int = RULES) -> tuple[str, str]:
    return "FACETS", f"CATEGORY#{category_key(category, rules)}#{counter}"


def count_keys(category: str, rules: int = RULES) -> list[tuple[str, str]]:
    return [count_key(category, counter, rules) for counter in range(_COUNTERS)]


def counter_of(product_id: str) -> int:
    """The number of the category's counter for this product. A transaction uses one counter per category."""
    return crc32(product_id.encode()) % _COUNTERS


def list_partition(category: str | None, rules: int = RULES) -> str:
    return f"CATEGORY#{category_key(category, rules)}" if category else CATALOGUE


def word_partition(word: str) -> str:
    return f"WORD#{word[: 1 if is_sign_script(word) else 2]}"


def word_prefix(word: str, *, whole: bool) -> str:
    """The beginning of the sort keys of the word's entries."""
    return f"{word[:MAX_LENGTH]}#" if whole else word[:MAX_LENGTH]


def sort_key(product: Product, index: str) -> str:
    """Unique, because it ends in the id. The price is padded, because text sorts by bytes."""
    if index == BY_NAME:
        return f"{fold(product.name, product.index_rules)[:_NAME_LENGTH]}#{product.product_id}"
    if index == BY_PRICE:
        return f"{price_bound(product.price.amount)}#{product.product_id}"
    return f"{rfc3339(product.created_at)}#{product.product_id}"


def price_bound(amount: int) -> str:
    """A key that sorts before every product with this price."""
    return f"{amount:013d}"


def index_keys(product: Product, partition: str) -> Item:
    keys: Item = {}
    for index in (BY_NAME, BY_PRICE, BY_CREATION):
        keys |= {f"{index}pk": partition, f"{index}sk": sort_key(product, index)}
    return keys


def product_item(product: Product) -> Item:
    pk, sk = product_key(product.product_id)
    stock = {name: getattr(product, name) for name in ("availability", "available", "stock_sequence")}
    return {"pk": pk, "sk": sk} | stock | catalogue_attributes(product)


def catalogue_attributes(product: Product) -> dict[str, Any]:
    """The attributes of a product's item except its key and those that the stock's events set."""
    listed = index_keys(product, CATALOGUE) if product.is_active else {}
    return listed | {
        "product_id": product.product_id,
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "category": product.category,
        "amount": product.price.amount,
        "currency": product.price.currency,
        "weight_grams": product.weight_grams,
        "tax_class": product.tax_class,
        "status": product.status,
        "created_at": rfc3339(product.created_at),
        "version": product.version,
        "index_rules": product.index_rules,
    }


def images_attribute(images: Images) -> list[dict[str, Any]]:
    return [_image_map(image) for image in images]


def _image_map(image: Image) -> dict[str, Any]:
    found: dict[str, Any] = {"id": image.image_id, "state": image.state, "alt": image.alt}
    if image.expires_at:
        found["expires_at"] = epoch(image.expires_at)
    if image.reason:
        found["reason"] = image.reason
    if image.sizes:
        found |= {"digest": image.digest, "sizes": [[size.width, size.height] for size in image.sizes]}
    return found


def to_images(attribute: list[dict[str, Any]]) -> Images:
    return tuple(
        Image(
            image_id=found["id"],
            state=State(found["state"]),
            alt=found["alt"],
            expires_at=datetime.fromtimestamp(found["expires_at"], UTC) if "expires_at" in found else None,
            reason=found.get("reason", ""),
            digest=found.get("digest", ""),
            sizes=tuple(Size(*size) for size in found.get("sizes", [])),
        )
        for found in attribute
    )


def category_item(product: Product) -> Item | None:
    if not product.is_active or not product.category:
        return None
    item = {"pk": product_key(product.product_id)[0], "sk": "CATEGORY", "product_id": product.product_id}
    return item | index_keys(product, list_partition(product.category, product.index_rules))


def word_items(product: Product) -> list[Item]:
    """The search entries of a product. Each holds all words of the product, so that a search for several words reads
    the entries of one word only, and in `shared` the number from index_terms.
    """
    if not product.is_active:
        return []
    words = index_words(f"{product.sku} {product.name}", product.index_rules)
    end = sort_key(product, BY_NAME)
    entry: Item = {"words": words, "product_id": product.product_id}
    if product.index_rules == 1:
        return [{"pk": f"WORD#{word[:2]}", "sk": f"{word}#{end}", "word": word} | entry for word in words]
    return [
        {"pk": word_partition(term), "sk": f"{term}#{end}", "word": term, "shared": shared} | entry
        for term, shared in index_terms(words)
    ]
