{#- Rows and customers of a relation that meet a condition, against all of its rows. -#}
{% macro unusual_rows(subject, case_code, relation, condition) -%}
    select
        '{{ subject }}' as subject,
        '{{ case_code }}' as case_code,
        count(case when {{ condition }} then 1 end) as rows_count,
        count(distinct case when {{ condition }} then customer_key end) as customers_count,
        count(*) as of_rows_count
    from {{ relation }}
{%- endmacro %}
