with source as (

    select * from {{ prediction_source('credit_scores') }}

),

final as (

    select
        customer_key,
        cast(release as {{ type_string() }}) as release,
        cast(credit_rating as {{ type_string() }}) as credit_rating,
        cast(rating_in_force as {{ type_string() }}) as rating_in_force,
        cast(rating_veto_code as {{ type_string() }}) as rating_veto_code,
        cast(moved_by as {{ type_string() }}) as moved_by,
        cast(reason_1_code as {{ type_string() }}) as reason_1_code,
        cast(reason_2_code as {{ type_string() }}) as reason_2_code,
        cast(reason_3_code as {{ type_string() }}) as reason_3_code,
        cast(default_probability as double) as default_probability,
        cast(credit_points as double) as credit_points,
        cast(scorecard_points as double) as scorecard_points,
        {{ month_number('as_of_month') }} as as_of_month_number,
        cast(in_force_since_month as date) as in_force_since_month,
        cast(as_of_month as date) as as_of_month
    from source

)

select * from final
