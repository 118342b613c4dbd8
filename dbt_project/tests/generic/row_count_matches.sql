{#- Fails when the model has more or fewer rows than the other relation has where `other_condition` holds. -#}
{% test row_count_matches(model, other, other_condition='true') %}

with counts as (

    select
        (select count(*) from {{ model }}) as rows_count,
        (select count(*) from {{ other }} where {{ other_condition }}) as other_rows_count

)

select * from counts
where rows_count <> other_rows_count

{% endtest %}
