"""What people see: one widget per controller, and the dock that holds them."""
