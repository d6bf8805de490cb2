"""`mercato replay`: places a wholesaler's real invoices as orders and audits the books."""
