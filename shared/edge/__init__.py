"""Between the functions host and the handlers: requests and messages in, answers and verdicts out.

The verdict depends on the kind of error alone. What no retry can mend is answered with a problem document or parked;
what the outside failed at is given back to the host, which tries again; anything else is a bug and passes through.
"""
