{#-
    The three columns that end a section of the portrait: the day up to which its facts reach, what they come from, and
    how far they can be trusted, which is the body of the call. A section of which nothing is known has neither day nor
    source.
-#}
{% macro portrait_section(section, as_of_date, source) -%}
    {%- set confidence = caller() | trim -%}
    case when {{ confidence }} <> 'none' then cast({{ as_of_date }} as date) end as {{ section }}_as_of_date,
    case when {{ confidence }} <> 'none' then {{ source }} end as {{ section }}_source,
    {{ confidence }} as {{ section }}_confidence
{%- endmacro %}
