"""How settings are read: rules for single values, what is made of them, and the reader that collects complaints."""
