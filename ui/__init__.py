"""What pages share and no model: template tags, htmx helpers, pagination, form rendering."""
