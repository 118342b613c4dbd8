{#- Rows of a relation at compile time; 0 while it does not exist. -#}
{% macro row_count(relation) -%}
    {%- if not execute or load_relation(relation) is none -%}
        {{ return(0) }}
    {%- endif -%}
    {{ return(run_query('select count(*) from ' ~ relation).columns[0].values()[0] | int) }}
{%- endmacro %}
