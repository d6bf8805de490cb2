"""The promotions service: coupons, what they take from an order, and the claims that orders have on them."""
