"""`mercato replay`: a wholesaler's real invoices become orders, and the books must balance."""
