{#-
    Point in time. Every landed row carries when it became known, and a corrected key has several rows. A row is
    visible in the as-of months [visible_from_month_number, visible_until_month_number); the later delivery wins.
-#}

{#- First as-of month in which a row counts: not before it was known, and not before it happened. -#}
{% macro visible_from_month_number(known_at, event_month_number=none) -%}
    {%- if event_month_number is none -%}
    {{ known_month_number(known_at) }}
    {%- else -%}
    greatest({{ known_month_number(known_at) }}, {{ event_month_number }})
    {%- endif -%}
{%- endmacro %}

{#- As-of month in which the next version of the same key takes over; null for the latest version. -#}
{% macro visible_until_month_number(key) -%}
    lead(visible_from_month_number) over (partition by {{ key | join(', ') }} order by known_at, revision)
{%- endmacro %}

{#- Whether no later version of the same key was delivered. -#}
{% macro is_latest_version(key) -%}
    (lead(revision) over (partition by {{ key | join(', ') }} order by known_at, revision)) is null
{%- endmacro %}

{#- Condition that a version is the one that was visible in an as-of month. -#}
{% macro is_visible_in(version, as_of_month_number) -%}
    {{ version }}.visible_from_month_number <= {{ as_of_month_number }}
    and (
        {{ version }}.visible_until_month_number is null
        or {{ version }}.visible_until_month_number > {{ as_of_month_number }}
    )
{%- endmacro %}

{#-
    The as-of months from which something else is known about a customer's month: where a contribution becomes visible
    or is superseded, and nowhere else.
-#}
{% macro version_starts(contributions) -%}
    select
        customer_key,
        month_number,
        visible_from_month_number
    from {{ contributions }}
    union
    select
        customer_key,
        month_number,
        visible_until_month_number as visible_from_month_number
    from {{ contributions }}
    where visible_until_month_number is not null
{%- endmacro %}
