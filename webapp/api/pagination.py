"""Pages by limit and offset, with the count of all."""

from rest_framework.pagination import LimitOffsetPagination


class LimitOffset(LimitOffsetPagination):
    """At most 1,000 rows a page; 100 where nothing is asked for."""

    default_limit = 100
    max_limit = 1000
