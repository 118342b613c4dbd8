{#- Rows of a relation at compile time; 0 while it does not exist. -#}
{% macro row_count(relation) -%}
    {%- if not execute or load_relation(relation) is none -%}
        {{ return(0) }}
    {%- endif -%}
    {{ return(run_query('select count(*) from ' ~ relation).columns[0].values()[0] | int) }}
{%- endmacro %}

{#-
    First as-of month in which a reading counts. The calendar answers; only instants outside it, such as a delivery
    dated years off, pay for the zone arithmetic.
-#}
{% macro visible_month_of_reading(known_month_number_of_tick, known_at, month_number) -%}
    greatest(
        {{ month_number }},
        coalesce({{ known_month_number_of_tick }}, {{ known_month_number(known_at) }})
    )
{%- endmacro %}
